package steps

import "time"

// Outcome is how a step ends, when it does not fail.
type Outcome struct {
	waits      bool
	output     any
	undo, memo any
	sources    []Source
	timeout    time.Duration
}

// Done: what later steps and the saga's reader see, as JSON.
func Done(output any) *Outcome { return &Outcome{output: output} }

// Wait waits, without holding anything, for the first of the sources; without one, for the time-out.
func Wait(sources ...Source) *Outcome { return &Outcome{waits: true, sources: sources} }

// Undo keeps what Compensate needs to know, as JSON.
func (o *Outcome) Undo(undo any) *Outcome {
	o.undo = undo
	return o
}

// Memo is handed back to Resume after a wait, as JSON.
func (o *Outcome) Memo(memo any) *Outcome {
	o.memo = memo
	return o
}

// Timeout bounds a wait; otherwise the step's own time-out does.
func (o *Outcome) Timeout(timeout time.Duration) *Outcome {
	o.timeout = timeout
	return o
}

// Source is what a step waits for.
type Source struct {
	kind              uint8
	name, correlation string
}

// Message is the next message of a topic with this correlation key; one that came early counts.
func Message(topic, correlation string) Source { return Source{0, topic, correlation} }

// Signal is the next signal of this name.
func Signal(name string) Source { return Source{kind: 1, name: name} }

// Child is the end of the child of this name.
func Child(name string) Source { return Source{kind: 2, name: name} }
