package architecture_test

import (
	"go/ast"
	"go/token"
	"testing"
)

// The largest that code may be, in lines.
const (
	maxFile     = 400
	maxTestFile = 800
	maxFunction = 60
)

func TestFilesAndFunctionsAreSmall(t *testing.T) {
	for _, s := range sources(t) {
		limit := maxFile
		if s.test {
			limit = maxTestFile
		}
		if lines := s.line(s.ast.FileEnd); lines > limit {
			t.Errorf("%s: %d lines, at most %d", s.path, lines, limit)
		}
		for _, decl := range s.ast.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || s.test {
				continue
			}
			if lines := s.line(f.End()) - s.line(f.Pos()) + 1; lines > maxFunction {
				t.Errorf("%s: %s has %d lines, at most %d", s.path, f.Name.Name, lines, maxFunction)
			}
		}
	}
}

// Only what waits for a condition says what it waited for when it gives up.
func TestNothingSleeps(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.SelectorExpr); ok && call.Sel.Name == "Sleep" {
				if from, ok := call.X.(*ast.Ident); ok && from.Name == "time" {
					t.Errorf("%s:%d: time.Sleep; wait for a condition, within a bound", s.path, s.line(call.Pos()))
				}
			}
			return true
		})
	}
}

// What a package does when it is loaded nobody asked for.
func TestNothingRunsOnLoad(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.ast.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s:%d: init()", s.path, s.line(f.Pos()))
			}
		}
	}
}

// What any function may change no test can rely on: package variables are
// tables and sentinels that no code writes to.
func TestNoGlobalState(t *testing.T) {
	written := map[string]bool{} // directory and name of what some code writes to
	for _, s := range sources(t) {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			for _, name := range targets(n) {
				written[s.dir()+name] = true
			}
			return true
		})
	}
	for _, s := range sources(t) {
		for _, decl := range s.ast.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.VAR || s.test {
				continue
			}
			for _, spec := range d.Specs {
				v := spec.(*ast.ValueSpec)
				for _, name := range v.Names {
					if name.Name != "_" && (len(v.Values) == 0 && !isEmbedded(v) || written[s.dir()+name.Name]) {
						t.Errorf("%s:%d: package variable %s; pass it, or return it from a function", s.path, s.line(name.Pos()), name.Name)
					}
				}
			}
		}
	}
}

// targets returns the names of the variables that n assigns to as a whole or in
// part, or whose address it takes. Declarations of local ones are none.
func targets(n ast.Node) []string {
	var places []ast.Expr
	switch x := n.(type) {
	case *ast.AssignStmt:
		if x.Tok != token.DEFINE {
			places = x.Lhs
		}
	case *ast.IncDecStmt:
		places = []ast.Expr{x.X}
	case *ast.UnaryExpr:
		if x.Op == token.AND {
			places = []ast.Expr{x.X}
		}
	}
	var names []string
	for _, place := range places {
		if name := root(place); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// root returns the variable that an expression like v.field[i] is a part of.
func root(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.IndexExpr:
		return root(x.X)
	case *ast.SelectorExpr:
		return root(x.X)
	}
	return ""
}

// isEmbedded reports whether the variable holds files that the compiler put there.
func isEmbedded(v *ast.ValueSpec) bool {
	x, ok := v.Type.(*ast.SelectorExpr)
	return ok && x.Sel.Name == "FS"
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.main {
			continue
		}
		for _, decl := range s.ast.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type))) {
					t.Errorf("%s:%d: %s has no comment", s.path, s.line(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, name := range undocumented(d) {
					t.Errorf("%s:%d: %s has no comment", s.path, s.line(name.Pos()), name.Name)
				}
			}
		}
	}
}

func receiver(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.IndexListExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// undocumented returns the exported names of a declaration that have a comment
// neither of their own nor through their group.
func undocumented(d *ast.GenDecl) []*ast.Ident {
	var bare []*ast.Ident
	for _, spec := range d.Specs {
		switch x := spec.(type) {
		case *ast.TypeSpec:
			if x.Name.IsExported() && x.Doc == nil && d.Doc == nil {
				bare = append(bare, x.Name)
			}
		case *ast.ValueSpec:
			for _, name := range x.Names {
				if name.IsExported() && x.Doc == nil && x.Comment == nil && d.Doc == nil {
					bare = append(bare, name)
				}
			}
		}
	}
	return bare
}

func TestEveryPackageHasItsPageOfDesign(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		documented[s.dir()] = documented[s.dir()] || s.ast.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s no package comment", dir)
		}
	}
}
