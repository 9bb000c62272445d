// All of the SDK once: tests/tests/end_to_end/sdks.rs says what must come of it, in every language.
package main

import (
	"encoding/json"
	"time"

	wasaga "wasaga.local/guest"
	"wasaga.local/guest/config"
	"wasaga.local/guest/eventstore"
	"wasaga.local/guest/http"
	"wasaga.local/guest/lifecycle"
	"wasaga.local/guest/sql"
	"wasaga.local/guest/steps"
	"wasaga.local/guest/tasks"
)

const (
	name    = "sdk-go"
	asks    = name + ".asks"
	answers = name + ".answers"
	heard   = name + ".heard"
	poison  = name + ".poison"
	noise   = name + ".noise"
	lost    = name + ".lost"
)

type input struct {
	N    int    `json:"n"`
	Fail string `json:"fail"`
}

type number struct {
	N int `json:"n"`
}

type fields map[string]any

func ask(task *steps.Task[input], effects *wasaga.Effects) (*steps.Outcome, error) {
	asked := wasaga.NewMessage(asks, task.BusinessKey, number{task.Input.N})
	effects.Send(asked.Header("correlation-id", task.IdempotencyKey))
	wait := steps.Wait(steps.Message(answers, task.IdempotencyKey))
	return wait.Timeout(time.Minute).Memo(number{task.Input.N}), nil
}

func answered(task *steps.Task[input], _ *wasaga.Effects) (*steps.Outcome, error) {
	if task.Arrival.Name != task.IdempotencyKey {
		return nil, wasaga.Permanent("other-answer", "not for %s", task.Arrival.Name)
	}
	var memo, answer number
	if _, err := task.Memo(&memo); err != nil {
		return nil, err
	}
	if err := task.Arrival.Message.JSON(&answer); err != nil {
		return nil, err
	}
	return steps.Done(fields{"n": answer.N, "asked": memo.N}).Undo("asked"), nil
}

func unask(task *steps.Task[input], _ *wasaga.Effects) (*steps.Outcome, error) {
	var undo string
	if _, err := task.Undo(&undo); err != nil {
		return nil, err
	}
	direction := "forward"
	if task.IsUndo {
		direction = "undo"
	}
	return steps.Done(fields{"undone": undo, "direction": direction, "cause": steps.Cause().Code}), nil
}

type sum int

func (s *sum) Apply(eventType string, payload json.RawMessage) error {
	var added int
	err := json.Unmarshal(payload, &added)
	*s += sum(added)
	return err
}

func store(task *steps.Task[input], _ *wasaga.Effects) (*steps.Outcome, error) {
	key := task.BusinessKey
	const insert = "insert into notes values ($1, $2, $3, $4, $5::jsonb, $6)"
	if _, err := sql.Execute(insert, key, 7, 0.5, true, sql.JSON{Value: fields{"deep": []int{1}}}, nil); err != nil {
		return nil, err
	}
	row, err := sql.QueryOne("select * from notes where id = $1", key)
	if err != nil {
		return nil, err
	}
	stream, err := eventstore.Load(key, new(sum))
	if err != nil {
		return nil, err
	}
	for _, added := range []int{3, 4, 0, 0, 0} {
		if err := stream.Record("Added", added); err != nil {
			return nil, err
		}
	}
	if err := stream.Save(); err != nil {
		return nil, err
	}
	loaded, err := eventstore.Load(key, new(sum))
	if err != nil {
		return nil, err
	}
	greeting, _ := config.Get("greeting")
	absent := any(nil)
	if value, ok := config.Get("x"); ok {
		absent = value
	}
	// Five events, for a snapshot: the other languages have two.
	version := loaded.Version() - 3
	return steps.Done(fields{"row": row, "sum": loaded.State, "version": version, "greeting": greeting, "absent": absent}), nil
}

func parent(task *steps.Task[input], effects *wasaga.Effects) (*steps.Outcome, error) {
	key := task.BusinessKey
	effects.Start(wasaga.Start{Saga: name + "-child", BusinessKey: key + "/kid", Input: fields{"of": key}, Child: "kid"})
	return steps.Wait(steps.Child("kid")), nil
}

func grown(task *steps.Task[input], _ *wasaga.Effects) (*steps.Outcome, error) {
	arrival := task.Arrival
	return steps.Done(fields{"name": arrival.Name, "status": arrival.Status, "output": arrival.Payload}), nil
}

func kid(task *steps.Task[map[string]string], effects *wasaga.Effects) (*steps.Outcome, error) {
	effects.Signal(wasaga.Target{Saga: name, BusinessKey: task.Input["of"]}, "go", fields{"by": "kid"})
	return steps.Done("grown"), nil
}

func hear(*steps.Task[input], *wasaga.Effects) (*steps.Outcome, error) {
	return steps.Wait(steps.Signal("go"), steps.Signal("other")), nil
}

func wasHeard(task *steps.Task[input], _ *wasaga.Effects) (*steps.Outcome, error) {
	return steps.Done(fields{"name": task.Arrival.Name, "payload": task.Arrival.Payload}), nil
}

func rest(*steps.Task[input], *wasaga.Effects) (*steps.Outcome, error) {
	return steps.Wait().Timeout(10 * time.Millisecond), nil
}

func rested(task *steps.Task[input], _ *wasaga.Effects) (*steps.Outcome, error) {
	var output number
	if err := steps.RequireOutput("ask", &output); err != nil {
		return nil, err
	}
	kind := "another"
	if task.Arrival.Kind == steps.ByTimeout {
		kind = "timed-out"
	}
	return steps.Done(fields{"kind": kind, "finished": steps.Finished(), "n": output.N}), nil
}

func fail(task *steps.Task[input], _ *wasaga.Effects) (*steps.Outcome, error) {
	if task.Input.Fail != "" {
		failure := wasaga.Permanent("as-wanted", "it was asked for")
		failure.Data = fields{"why": task.Input.Fail}
		return nil, failure
	}
	if task.Attempt == 1 {
		panic("nothing")
	}
	return steps.Done(fields{"attempt": task.Attempt}), nil
}

type target struct {
	URL       string `json:"url"`
	TimeoutMs int64  `json:"timeout_ms"`
}

// Asks another host: runtime/crates/plugin-host/tests/plugins/http_sdks.rs says what must come of it.
func call(task *steps.Task[target], _ *wasaga.Effects) (*steps.Outcome, error) {
	answer, err := http.Send(http.Request{
		Method:  "POST",
		URL:     task.Input.URL,
		Headers: map[string]string{"x-asked": "yes", "content-type": "application/json"},
		Body:    []byte(`{"cents":5}`),
		Timeout: time.Duration(task.Input.TimeoutMs) * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	return steps.Done(fields{"status": answer.Status, "kind": answer.Headers["x-kind"], "body": string(answer.Body)}), nil
}

func answer(task *tasks.Task, effects *wasaga.Effects) error {
	if stamp, _ := task.Message.HeaderText("stamp"); stamp != "out" {
		return wasaga.Permanent("not-stamped", "it did not go through HandleOut")
	}
	correlation, err := task.Message.RequireHeader("correlation-id")
	if err != nil {
		return err
	}
	var asked number
	if err := task.Message.JSON(&asked); err != nil {
		return err
	}
	reply := wasaga.NewMessage(answers, string(task.Message.Key), number{asked.N + 1})
	effects.Send(reply.Header("correlation-id", correlation))
	return nil
}

func swallow(task *tasks.Task, _ *wasaga.Effects) error { return task.Message.JSON(new(any)) }

func hush(task *tasks.Task) (*wasaga.Message, error) {
	var said string
	if err := task.Message.JSON(&said); err != nil || said == "hush" {
		return nil, err
	}
	return task.Message, nil
}

func news(what fields) *wasaga.Message { return wasaga.NewMessage(heard, name, what) }

func tell(effects *wasaga.Effects, what fields) { effects.Send(news(what)) }

func hearOf(event *lifecycle.Event, effects *wasaga.Effects) error {
	if event.Saga != name {
		return nil
	}
	told := fields{"kind": event.Kind, "step": nil, "code": nil}
	if event.Step != "" {
		told["step"] = event.Step
	}
	if event.Error != nil {
		told["code"] = event.Error.Code
	}
	tell(effects, told)
	return nil
}

func init() {
	steps.Handle("ask", steps.Handler[input]{Execute: ask, Resume: answered, Compensate: unask})
	steps.Handle("skip", steps.Handler[input]{
		Guard: func(*steps.Task[input]) (*steps.Verdict, error) { return steps.Skip(), nil },
	})
	steps.Handle("store", steps.Handler[input]{Execute: store})
	steps.Handle("parent", steps.Handler[input]{Execute: parent, Resume: grown})
	steps.Handle("kid", steps.Handler[map[string]string]{Execute: kid})
	steps.Handle("hear", steps.Handler[input]{Execute: hear, Resume: wasHeard})
	steps.Handle("rest", steps.Handler[input]{Execute: rest, Resume: rested})
	steps.Handle("fail", steps.Handler[input]{Execute: fail})
	steps.Handle("call", steps.Handler[target]{Execute: call})
	tasks.HandleOut(asks, func(task *tasks.Task) (*wasaga.Message, error) {
		return task.Message.Header("stamp", "out"), nil
	})
	tasks.HandleIn(asks, answer)
	tasks.HandleIn(poison, swallow)
	tasks.HandleDeadIn(poison, func(dead *tasks.Task, effects *wasaga.Effects) error {
		tell(effects, fields{"dead": dead.Reason.Code, "topic": dead.Message.Topic})
		return nil
	})
	tasks.HandleOut(noise, hush)
	tasks.HandleIn(noise, swallow)
	tasks.HandleDeadOut(lost, func(dead *tasks.Task) (*wasaga.Message, error) {
		message := dead.Message
		return news(fields{"lost": string(message.Key), "topic": message.Topic, "why": dead.Reason.Code}), nil
	})
	lifecycle.Handle(hearOf)

	retry, timeout := wasaga.RetryFixed(10*time.Millisecond, 3), wasaga.Milliseconds(30*time.Second)
	flow := []wasaga.Step{
		{Name: "ask", Timeout: timeout, Retry: retry, Undo: &wasaga.Undo{Retry: retry, Timeout: timeout}},
		{Name: "skip", Timeout: timeout, Retry: retry, Guarded: true},
	}
	for _, step := range []string{"store", "parent", "hear", "rest", "fail"} {
		flow = append(flow, wasaga.Step{Name: step, Timeout: timeout, Retry: retry})
	}
	const notes = "create table notes (id text primary key, n bigint, half float8, yes boolean, deep jsonb, nothing text)"
	wasaga.Describe(wasaga.Manifest{
		Name:    name,
		Version: "0.1.0",
		Sagas: []wasaga.Saga{
			{Name: name, Version: 1, Steps: flow},
			{Name: name + "-child", Version: 1, Steps: []wasaga.Step{{Name: "kid", Timeout: timeout, Retry: retry}}},
		},
		Subscriptions: []wasaga.Subscription{
			{Topic: answers, Correlation: &wasaga.Locator{Header: "correlation-id"}},
		},
		Migrations: []wasaga.Migration{{Version: 1, Name: "notes", Up: notes}},
		Capabilities: &wasaga.Capabilities{
			SQL: true, EventStore: true, Topics: []string{name + ".*"}, ConfigKeys: []string{"greeting"},
			HTTPHosts: []string{"127.0.0.1:*"},
		},
	})
}

// A plugin is called by its exports.
func main() {}
