// Command listapi prints the exported API of the package in the current directory: what a program can use, and so
// nothing of comments, positions and unexported names. It is the same for every release of Go and in every directory.
package main

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	list := exec.Command("go", "list", "-deps", "-export", "-f", "{{.ImportPath}} {{.Export}}", ".")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		log.Fatal(err)
	}
	var path string // in the end that of the package, which comes after those that it imports
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		var file string
		path, file, _ = strings.Cut(strings.TrimSpace(line), " ")
		files[path] = file
	}
	open := func(path string) (io.ReadCloser, error) { return os.Open(files[path]) }
	pkg, err := importer.ForCompiler(token.NewFileSet(), "gc", open).Import(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("package", path)
	var names []*types.TypeName
	for _, name := range pkg.Scope().Names() {
		switch obj := pkg.Scope().Lookup(name).(type) {
		case *types.Const:
			printObject(obj, " = "+obj.Val().ExactString())
		case *types.TypeName:
			names = append(names, obj)
		default:
			printObject(obj, "")
		}
	}
	for _, name := range names {
		if name.Exported() {
			fmt.Println()
			printType(name)
			printMethods(name)
		}
	}
}

func printObject(obj types.Object, value string) {
	if obj.Exported() {
		fmt.Println(types.ObjectString(obj, types.RelativeTo(obj.Pkg())) + value)
	}
}

func printType(name *types.TypeName) {
	if name.IsAlias() {
		fmt.Println("type", name.Name(), "=", text(name, types.Unalias(name.Type())))
		return
	}
	var lines []string
	var kind, others string
	switch t := name.Type().Underlying().(type) {
	case *types.Struct:
		kind, others = "struct", "fields"
		lines = fields(name, t)
		if !types.Comparable(name.Type()) {
			others += "; not comparable"
		}
	case *types.Interface:
		kind, others = "interface", "methods"
		lines = elements(name, t)
	default:
		fmt.Println("type", text(name, name.Type()), text(name, t))
		return
	}
	fmt.Println("type", text(name, name.Type()), kind, "{")
	for _, line := range lines {
		if line != "" {
			fmt.Println("\t" + line)
		}
	}
	if slices.Contains(lines, "") {
		fmt.Println("\t// and unexported", others)
	}
	fmt.Println("}")
}

// fields returns a line for each exported field, also of unexported structs that are embedded, and "" for an unexported
// field.
func fields(name *types.TypeName, s *types.Struct) (lines []string) {
	for i := range s.NumFields() {
		f := s.Field(i)
		switch {
		case f.Exported() && f.Embedded():
			lines = append(lines, text(name, f.Type()))
		case f.Exported():
			lines = append(lines, f.Name()+" "+text(name, f.Type()))
		default:
			lines = append(lines, "")
			if embedded, ok := f.Type().Underlying().(*types.Struct); ok && f.Embedded() {
				lines = append(lines, fields(name, embedded)...)
			}
		}
	}
	return lines
}

// elements returns a line for each method and each embedded type of an interface, and "" for an unexported method.
func elements(name *types.TypeName, t *types.Interface) (lines []string) {
	for i := range t.NumExplicitMethods() {
		m := t.ExplicitMethod(i)
		if !m.Exported() {
			lines = append(lines, "")
			continue
		}
		lines = append(lines, m.Name()+signature(name, m))
	}
	for i := range t.NumEmbeddeds() {
		lines = append(lines, text(name, t.EmbeddedType(i)))
	}
	return lines
}

// printMethods prints the methods that a type has from this package, also those of a type that it embeds.
func printMethods(name *types.TypeName) {
	if name.IsAlias() || types.IsInterface(name.Type()) {
		return
	}
	ofValue := types.NewMethodSet(name.Type())
	for sel := range types.NewMethodSet(types.NewPointer(name.Type())).Methods() {
		m := sel.Obj().(*types.Func)
		if !m.Exported() || m.Pkg() != name.Pkg() {
			continue
		}
		receiver := name.Name()
		if ofValue.Lookup(m.Pkg(), m.Name()) == nil {
			receiver = "*" + receiver
		}
		fmt.Printf("func (%s) %s%s\n", receiver, m.Name(), signature(name, m))
	}
}

func signature(name types.Object, m *types.Func) string {
	return strings.TrimPrefix(text(name, m.Type()), "func")
}

func text(in types.Object, t types.Type) string {
	return types.TypeString(t, types.RelativeTo(in.Pkg()))
}
