package wasaga

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"wasaga.local/guest/internal/abi"
)

type kind uint8

const (
	retryable kind = iota
	permanent
	unknown
)

// Failure is why an attempt did not end well, by what has to follow. Make it by Retryable, Permanent or Unknown, and return it
// as a handler's error. Any other error is a retryable failure; after a wait, an unknown one.
type Failure struct {
	kind kind
	// Code is short and stable, as "payment-declined".
	Code string
	// Message is a sentence for the operator.
	Message string
	// Data is what a program may want to know besides, as JSON.
	Data any
	// After is how long a retryable failure waits at least.
	After time.Duration
}

func (f *Failure) Error() string { return f.Code + ": " + f.Message }

// Retryable: this attempt did nothing. It is tried again under the step's policy.
func Retryable(code, format string, values ...any) *Failure {
	return &Failure{kind: retryable, Code: code, Message: fmt.Sprintf(format, values...)}
}

// Permanent: the effect has certainly not happened and never will. No retry, no undo of this step.
func Permanent(code, format string, values ...any) *Failure {
	return &Failure{kind: permanent, Code: code, Message: fmt.Sprintf(format, values...)}
}

// Unknown: the effect may have happened. It is tried again under the policy, and undone when the saga fails.
func Unknown(code, format string, values ...any) *Failure {
	return &Failure{kind: unknown, Code: code, Message: fmt.Sprintf(format, values...)}
}

// Attempt runs a handler, and lowers its error or its panic. It is the SDK's own.
func Attempt(isResumed bool, handle func() error) (failure *abi.Failure) {
	defer func() {
		if panicked := recover(); panicked != nil {
			slog.Error(fmt.Sprintf("panic: %v\n%s", panicked, debug.Stack()))
			failure = lowerFailure(foreign("panic", fmt.Errorf("panic: %v%s", panicked, place()), isResumed))
		}
	}()
	err := handle()
	if err == nil {
		return nil
	}
	known := (*Failure)(nil)
	if !errors.As(err, &known) {
		known = foreign("error", err, isResumed)
	}
	return lowerFailure(known)
}

// place is where a panic began, while it is recovered from: the innermost function of the plugin's own module.
func place() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(0, callers)])
	module := "main"
	if built, ok := debug.ReadBuildInfo(); ok {
		module = built.Main.Path
	}
	isOwn := func(function string) bool {
		return strings.HasPrefix(function, "main.") || strings.HasPrefix(function, module+"/")
	}
	panicked := false
	for {
		frame, more := frames.Next()
		if panicked && isOwn(frame.Function) {
			return fmt.Sprintf(" at %s (%s:%d)", frame.Function, frame.File, frame.Line)
		}
		if frame.Function == "runtime.gopanic" {
			panicked = true
		}
		if !more {
			return ""
		}
	}
}

// foreign is a failure of the plugin itself: nobody knows what became of what was sent before a wait.
func foreign(code string, err error, isResumed bool) *Failure {
	if isResumed {
		return Unknown(code, "%s", err)
	}
	return Retryable(code, "%s", err)
}

func lowerFailure(f *Failure) *abi.Failure {
	lowered := &abi.Failure{Tag: uint8(f.kind), Hint: abi.RetryHint{Detail: LowerDetail(f)}}
	if f.kind == retryable && f.After > 0 {
		lowered.Hint.AfterMs = abi.Some(uint64(f.After.Milliseconds()))
	}
	return lowered
}

// LowerDetail is the SDK's own.
func LowerDetail(f *Failure) abi.ErrorDetail {
	return abi.ErrorDetail{
		Code:    abi.LowerText(f.Code),
		Message: abi.LowerText(f.Message),
		Data:    abi.LowerOptionalPayload(f.Data),
	}
}

// ErrorDetail is what went wrong elsewhere.
type ErrorDetail struct{ Code, Message string }

// LiftDetail is the SDK's own.
func LiftDetail(detail *abi.ErrorDetail) *ErrorDetail {
	if detail == nil {
		return nil
	}
	return &ErrorDetail{detail.Code.Text(), detail.Message.Text()}
}
