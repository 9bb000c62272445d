// Package wasaga is for plugins in Go: see README.md.
package wasaga

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"strings"

	"wasaga.local/guest/internal/abi"
)

//go:wasmimport wasaga:plugin/logging@0.1.0 log
func hostLog(level, at, length uint32)

// handler of slog: the host writes the line with the plugin's and the saga's name.
type handler struct {
	attributes []slog.Attr
	group      string
}

func (handler) Enabled(context.Context, slog.Level) bool { return true }

func (h handler) Handle(_ context.Context, record slog.Record) error {
	line := new(strings.Builder)
	line.WriteString(record.Message)
	write := func(attribute slog.Attr) bool {
		fmt.Fprintf(line, " %s%s=%v", h.group, attribute.Key, attribute.Value)
		return true
	}
	for _, attribute := range h.attributes {
		write(attribute)
	}
	record.Attrs(write)
	lowered := abi.LowerText(line.String())
	hostLog(level(record.Level), lowered.At, lowered.Length)
	return nil
}

func (h handler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return handler{append(h.attributes[:len(h.attributes):len(h.attributes)], attributes...), h.group}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.attributes, h.group + name + "."}
}

func level(level slog.Level) uint32 {
	switch {
	case level < slog.LevelDebug:
		return 0
	case level < slog.LevelInfo:
		return 1
	case level < slog.LevelWarn:
		return 2
	case level < slog.LevelError:
		return 3
	}
	return 4
}

func init() {
	// The package log writes through it, too.
	slog.SetDefault(slog.New(handler{}))
	log.SetFlags(0)
}
