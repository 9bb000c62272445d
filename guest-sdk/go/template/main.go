// A saga of two steps. Nobody is greeted who is called nobody: then the first step is undone.
package main

import (
	"crypto/rand"
	"fmt"
	"time"

	wasaga "wasaga.local/guest"
	"wasaga.local/guest/steps"
)

func write(task *steps.Task[Greeting], _ *wasaga.Effects) (*steps.Outcome, error) {
	card := fmt.Sprintf("Hello, %s!", task.Input.Name)
	if style := task.Input.Style; style != nil && *style == GreetingStyleFormal {
		card = fmt.Sprintf("Good day, %s.", task.Input.Name)
	}
	return steps.Done(map[string]string{"card": card}).Undo(task.Input), nil
}

func tearUp(task *steps.Task[Greeting], _ *wasaga.Effects) (*steps.Outcome, error) {
	written := Greeting{Name: "somebody"}
	if _, err := task.Undo(&written); err != nil {
		return nil, err
	}
	fmt.Printf("the card for %s is torn up\n", written.Name)
	return nil, nil
}

func say(task *steps.Task[Greeting], _ *wasaga.Effects) (*steps.Outcome, error) {
	if task.Input.Name == "nobody" {
		return nil, wasaga.Permanent("nobody-there", "there is nobody to greet")
	}
	// Time and chance are the host's. An output has neither: the step returns the same when it runs again.
	at := time.Now().UTC().Format(time.RFC3339)
	fmt.Printf("%s is greeted at %s, number %s\n", task.Input.Name, at, rand.Text())
	return steps.Done(map[string]string{"said_to": task.Input.Name}), nil
}

func init() {
	steps.Handle("write", steps.Handler[Greeting]{Execute: write, Compensate: tearUp})
	steps.Handle("say", steps.Handler[Greeting]{Execute: say})

	const timeout = wasaga.Milliseconds(30 * time.Second)
	retry := wasaga.RetryExponential(200*time.Millisecond, 10*time.Second, 5)
	wasaga.Describe(wasaga.Manifest{
		Name:    "{{name}}",
		Version: "0.1.0",
		Sagas: []wasaga.Saga{{
			Name:    "{{name}}",
			Version: 1,
			Steps: []wasaga.Step{
				{Name: "write", Timeout: timeout, Retry: retry, Undo: &wasaga.Undo{Retry: retry, Timeout: timeout}},
				{Name: "say", Timeout: timeout, Retry: retry},
			},
			Triggers: []wasaga.Trigger{
				{HTTP: &wasaga.HTTPTrigger{Path: "/api/v1/greetings/{{name}}", KeyName: "greeting_id"}},
			},
			InputSchema: GreetingSchema,
		}},
	})
}

// A plugin is called by its exports.
func main() {}
