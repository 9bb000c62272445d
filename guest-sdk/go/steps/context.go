package steps

import (
	wasaga "wasaga.local/guest"
	"wasaga.local/guest/internal/abi"
)

//go:wasmimport wasaga:plugin/context@0.1.0 finished-steps
func hostFinishedSteps(area uint32)

//go:wasmimport wasaga:plugin/context@0.1.0 output
func hostOutput(at, length, area uint32)

//go:wasmimport wasaga:plugin/context@0.1.0 cause
func hostCause(area uint32)

// Finished are the names of the saga's finished steps, in the order in which they finished.
func Finished() []string {
	area := abi.Area[abi.List[abi.Bytes]]()
	hostFinishedSteps(abi.Address(area))
	var names []string
	for _, name := range abi.Elements(*area) {
		names = append(names, name.Text())
	}
	return names
}

// Output reads what a step of this saga returned. False: it is not done.
func Output(step string, into any) (bool, error) {
	area := abi.Area[abi.Option[abi.Payload]]()
	name := abi.LowerText(step)
	hostOutput(name.At, name.Length, abi.Address(area))
	return read(abi.LiftPayload(area.Get()), into, "the output of step "+step)
}

// RequireOutput is the same; a permanent failure if it is not done.
func RequireOutput(step string, into any) error {
	ok, err := Output(step, into)
	if err == nil && !ok {
		return wasaga.Permanent("step-not-done", "step %q of this saga has no output", step)
	}
	return err
}

// Cause is why the saga is being undone; nil while it goes forward.
func Cause() *wasaga.ErrorDetail {
	area := abi.Area[abi.Option[abi.ErrorDetail]]()
	hostCause(abi.Address(area))
	return wasaga.LiftDetail(area.Get())
}
