module example.com/tokend/deploy

go 1.26.0

require (
	github.com/moby/buildkit v0.30.0 // indirect
	go.yaml.in/yaml/v2 v2.4.3 // indirect
	k8s.io/api v0.36.2 // indirect
	k8s.io/apimachinery v0.36.2 // indirect
	sigs.k8s.io/yaml v1.6.0 // indirect
)
