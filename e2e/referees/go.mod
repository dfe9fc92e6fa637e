module example.com/tokend/e2e/referees

go 1.26.0

ignore ./npm
