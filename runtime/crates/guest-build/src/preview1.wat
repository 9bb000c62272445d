;; WASI preview 1 for guests in C and Go: their clock, chance and prints are the host's, there are no files, and a sleep
;; ends at once. It has no memory of its own, not even a stack: pages that it would add to the guest's memory overlap
;; with Go's heap. At 64 the host leaves a list's place: nobody's in Go, and the far end of the stack in C.
(module
  (import "wasaga:plugin/ambient@0.1.0" "now-ms" (func $now_ms (result i64)))
  (import "wasaga:plugin/ambient@0.1.0" "random-bytes" (func $random_bytes (param i32 i32)))
  (import "wasaga:plugin/logging@0.1.0" "log" (func $log (param i32 i32 i32)))
  (import "env" "memory" (memory 0))

  ;; Where random bytes are wanted.
  (global $wanted (mut i32) (i32.const 0))
  ;; Nanoseconds that sleeps have skipped.
  (global $slept (mut i64) (i64.const 0))
  ;; The latest time that was read, in nanoseconds.
  (global $latest (mut i64) (i64.const 0))

  ;; The host asks where to put a list: the only ones are random bytes, and they go to where they are wanted.
  (func (export "cabi_import_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $wanted))

  (func (export "random_get") (param $at i32) (param $length i32) (result i32)
    (global.set $wanted (local.get $at))
    (if (local.get $length)
      (then (call $random_bytes (local.get $length) (i32.const 64))))
    (i32.const 0))

  ;; The time of day (clock 0) is the host's. The other clocks go on from it by a microsecond a reading: Go's runtime reads
  ;; them whenever it likes, also while the host waits for memory, when no function of the host may be called.
  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $out i32) (result i32)
    (if (i32.eqz (local.get $clock))
      (then
        (i64.store (local.get $out)
          (i64.add (global.get $slept) (i64.mul (call $now_ms) (i64.const 1000000))))
        (if (i64.gt_u (i64.load (local.get $out)) (global.get $latest))
          (then (global.set $latest (i64.load (local.get $out))))))
      (else
        (global.set $latest (i64.add (global.get $latest) (i64.const 1000)))
        (i64.store (local.get $out) (global.get $latest))))
    (i32.const 0))

  (func (export "clock_res_get") (param $clock i32) (param $out i32) (result i32)
    (i64.store (local.get $out) (i64.const 1000000))
    (i32.const 0))

  ;; Standard output is logged at level info (2), standard error at level error (4), a line each.
  (func (export "fd_write") (param $fd i32) (param $pieces i32) (param $count i32) (param $out i32) (result i32)
    (local $sum i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $pieces))))
        (call $lines
          (select (i32.const 4) (i32.const 2) (i32.eq (local.get $fd) (i32.const 2)))
          (i32.load (local.get $pieces))
          (i32.add (i32.load (local.get $pieces)) (i32.load offset=4 (local.get $pieces))))
        (local.set $pieces (i32.add (local.get $pieces) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $out) (local.get $sum))
    (i32.const 0))

  (func $lines (param $level i32) (param $begin i32) (param $end i32)
    (local $at i32)
    (local.set $at (local.get $begin))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 10))
          (then
            (call $line (local.get $level) (local.get $begin) (local.get $at))
            (local.set $begin (i32.add (local.get $at) (i32.const 1)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (call $line (local.get $level) (local.get $begin) (local.get $end)))

  (func $line (param $level i32) (param $begin i32) (param $end i32)
    (if (i32.lt_u (local.get $begin) (local.get $end))
      (then
        (call $log (local.get $level) (local.get $begin)
          (i32.sub (local.get $end) (local.get $begin))))))

  ;; A sleep: the clock goes on by what was asked for, and the first subscription is answered.
  (func (export "poll_oneoff") (param $in i32) (param $out i32) (param $count i32) (param $events i32) (result i32)
    (if (i32.eqz (i32.load8_u offset=8 (local.get $in)))
      (then
        (if (i32.eqz (i32.and (i32.const 1) (i32.load16_u offset=40 (local.get $in))))
          (then
            (global.set $slept (i64.add (global.get $slept) (i64.load offset=24 (local.get $in))))
            (global.set $latest (i64.add (global.get $latest) (i64.load offset=24 (local.get $in))))))))
    (i64.store (local.get $out) (i64.load (local.get $in)))
    (i64.store offset=8 (local.get $out) (i64.const 0))
    (i64.store offset=16 (local.get $out) (i64.const 0))
    (i64.store offset=24 (local.get $out) (i64.const 0))
    (i32.store (local.get $events) (i32.const 1))
    (i32.const 0))

  (func (export "sched_yield") (result i32) (i32.const 0))
  (func (export "proc_exit") (param i32) unreachable)

  ;; No arguments, no environment.
  (func (export "args_get") (param i32 i32) (result i32) (i32.const 0))
  (func (export "args_sizes_get") (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (i32.const 0))
  (func (export "environ_get") (param i32 i32) (result i32) (i32.const 0))
  (func (export "environ_sizes_get") (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (i32.const 0))

  ;; The three standard streams are character devices (2); nothing else is open (8: badf).
  (func (export "fd_fdstat_get") (param $fd i32) (param $out i32) (result i32)
    (i64.store (local.get $out) (i64.const 2))
    (i64.store offset=8 (local.get $out) (i64.const 0))
    (i64.store offset=16 (local.get $out) (i64.const 0))
    (i32.const 0))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (i32.const 0))
  (func (export "fd_close") (param i32) (result i32) (i32.const 0))
  (func (export "fd_read") (param $fd i32) (param $pieces i32) (param $count i32) (param $out i32) (result i32)
    (i32.store (local.get $out) (i32.const 0))
    (i32.const 0))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 70))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (i32.const 8)))
