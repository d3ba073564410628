package modeltest

import (
	"reflect"
	"strings"

	wc "github.com/workerchannel/workerchannel"
)

// The arguments of a call. A call takes those that it has parameters for.
type arguments struct {
	id, region, task, obligation uint64
	payload                      []byte
	text                         string // a reason, a detail or a worker id
	outcome                      wc.Outcome
	diagnostic                   wc.Diagnostic
}

// call makes a call of a half by its name, and returns what it returns beside its error; nil if that is nothing or if
// there is an error.
func call(half any, name string, a arguments) (result any, err error) {
	method := reflect.ValueOf(half).MethodByName(name)
	number := a.id
	if strings.HasSuffix(name, "Region") {
		number = a.region
	}
	given := map[reflect.Type]any{
		reflect.TypeFor[uint64]():        number,
		reflect.TypeFor[string]():        a.text,
		reflect.TypeFor[wc.Diagnostic](): a.diagnostic,
		reflect.TypeFor[wc.SpawnJob]():   wc.SpawnJob{JobID: a.id, RegionID: a.region, TaskID: a.task, ObligationID: a.obligation, Payload: a.payload},
	}
	var in []reflect.Value
	for i := range method.Type().NumIn() {
		parameter := reflect.New(method.Type().In(i)).Elem()
		if value, ok := given[parameter.Type()]; ok {
			parameter.Set(reflect.ValueOf(value))
		} else if a.outcome != nil {
			parameter.Set(reflect.ValueOf(a.outcome)) // to the only one that is an interface
		}
		in = append(in, parameter)
	}
	for _, out := range method.Call(in) {
		if e, ok := out.Interface().(error); ok {
			return nil, e
		}
		if v := out.Interface(); v != nil {
			result = v
		}
	}
	return result, nil
}
