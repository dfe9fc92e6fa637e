package archtest

import (
	"go/ast"
	"slices"
)

// secretTypes mask themselves when they are printed.
var secretTypes = []string{"Secret", "PrivateKey"}

// hiddenSecretsAreMasked: an exported struct with a secret in an unexported field, or
// behind a pointer, has a Format method. Package fmt cannot call the methods of such a
// field; and a verb that does not fit, such as %s of a struct with a pointer in it, prints
// what is behind the pointer and calls no methods there.
func hiddenSecretsAreMasked(g graph) []string {
	var bad []string
	for path, p := range g.ours() {
		types := declared(p.files)
		for name, t := range types {
			if _, isStruct := t.expr.(*ast.StructType); !isStruct || !ast.IsExported(name) || t.formatted {
				continue
			}
			if field := types.hiddenSecret(t.expr, false, map[string]bool{}); field != "" {
				bad = append(bad, violation(path, "%s has a secret in %s and no Format method", name, field))
			}
		}
	}
	return bad
}

// typeNames are the types of a package.
type typeNames map[string]*declaredType

type declaredType struct {
	expr      ast.Expr
	formatted bool // it has a Format method
}

func declared(files []*ast.File) typeNames {
	types := typeNames{}
	get := func(name string) *declaredType {
		if types[name] == nil {
			types[name] = &declaredType{}
		}
		return types[name]
	}
	for _, f := range files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if t, ok := spec.(*ast.TypeSpec); ok {
						get(t.Name.Name).expr = t.Type
					}
				}
			case *ast.FuncDecl:
				if d.Recv != nil && d.Name.Name == "Format" {
					get(receiver(d)).formatted = true
				}
			}
		}
	}
	return types
}

// receiver returns the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	name, _ := t.(*ast.Ident)
	return name.String()
}

// hiddenSecret returns the first field below t with a secret of which fmt prints the
// text. hidden: fmt calls no methods here.
func (types typeNames) hiddenSecret(t ast.Expr, hidden bool, seen map[string]bool) string {
	switch t := t.(type) {
	case *ast.SelectorExpr:
		if hidden && t.Sel.Name == "Secret" {
			return t.Sel.Name
		}
	case *ast.Ident:
		return types.hiddenInNamed(t.Name, hidden, seen)
	case *ast.StarExpr:
		if of, ok := t.X.(*ast.Ident); ok && !hidden && types[of.Name] != nil && types[of.Name].formatted {
			return ""
		}
		return types.hiddenSecret(t.X, true, seen)
	case *ast.ArrayType:
		return types.hiddenSecret(t.Elt, hidden, seen)
	case *ast.MapType:
		return types.hiddenSecret(t.Value, hidden, seen)
	case *ast.StructType:
		for _, f := range t.Fields.List {
			below := types.hiddenSecret(f.Type, hidden || slices.ContainsFunc(f.Names, func(n *ast.Ident) bool { return !n.IsExported() }), seen)
			switch {
			case below == "":
			case f.Names == nil:
				return below
			default:
				return f.Names[0].Name
			}
		}
	}
	return ""
}

func (types typeNames) hiddenInNamed(name string, hidden bool, seen map[string]bool) string {
	of := types[name]
	switch {
	case slices.Contains(secretTypes, name):
		if hidden {
			return name
		}
	case of == nil || of.expr == nil || seen[name] || of.formatted && !hidden:
	default:
		seen[name] = true
		defer delete(seen, name)
		return types.hiddenSecret(of.expr, hidden, seen)
	}
	return ""
}
