// Package config reads what the operator configured for this plugin: only keys that the manifest's config_keys name are seen.
package config

import (
	wasaga "wasaga.local/guest"
	"wasaga.local/guest/internal/abi"
)

//go:wasmimport wasaga:plugin/config@0.1.0 get
func hostGet(at, length, area uint32)

// Get is the value under a key, if there is one.
func Get(key string) (string, bool) {
	area, name := abi.Area[abi.Option[abi.Bytes]](), abi.LowerText(key)
	hostGet(name.At, name.Length, abi.Address(area))
	return abi.LiftText(*area), area.Some == 1
}

// Require is the same; a permanent failure that names the key when there is none.
func Require(key string) (string, error) {
	value, ok := Get(key)
	if !ok {
		return "", wasaga.Permanent("not-configured", "the configuration has no value for this plugin's key %q", key)
	}
	return value, nil
}
