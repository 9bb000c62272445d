//! Where in a guest's code a trap happened: by the names of its functions, and by DWARF where the guest has it.

use std::fmt;

use wasmparser::{Parser, Payload};
use wasmtime::WasmBacktrace;

/// How many frames of a guest's stack are looked at. What they are named is the guest's choice, and so is its length.
pub(crate) const FRAMES: usize = 16;
const NAME_CHARS: usize = 160;

/// Files that are not a plugin's own: those of standard libraries and of dependencies.
const FOREIGN_FILES: [&str; 6] = [
    "/rustlib/src/",
    "/rustc/",
    "/registry/src/",
    "wasi-libc",
    "libc-bottom-half/",
    "libc-top-half/",
];
/// Functions that are not, where files are not known.
const FOREIGN_FUNCTIONS: [&str; 9] =
    ["std::", "core::", "alloc::", "rust_", "__rust", "__", "abort", "runtime.", "_start"];

/// A guest's stack, innermost frame first.
pub(crate) struct Trace(Vec<Frame>);

struct Frame {
    function: String,
    /// `FILE:LINE`.
    place: Option<String>,
}

impl Trace {
    /// The stack on which this error came about.
    pub(crate) fn of(error: &wasmtime::Error) -> Option<Self> {
        let stack = error.downcast_ref::<WasmBacktrace>()?;
        let mut frames = Vec::new();
        for frame in stack.frames() {
            let named = |name: Option<&str>| {
                name.map_or_else(|| format!("function {}", frame.func_index()), demangled)
            };
            if frame.symbols().is_empty() {
                frames.push(Frame { function: named(frame.func_name()), place: None });
            }
            // What was inlined comes first.
            for symbol in frame.symbols() {
                let line = symbol.line().map_or(String::new(), |line| format!(":{line}"));
                let file = symbol.file().map(|file| file.trim_start_matches("./"));
                let function = named(symbol.name().or(frame.func_name()));
                frames.push(Frame { function, place: file.map(|file| format!("{file}{line}")) });
            }
        }
        frames.truncate(FRAMES);
        (!frames.is_empty()).then_some(Self(frames))
    }

    /// The innermost frame of the plugin's own code.
    pub(crate) fn own(&self) -> Option<impl fmt::Display + '_> {
        self.0.iter().find(|frame| frame.is_own())
    }
}

/// All frames, in one line each.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for frame in &self.0 {
            write!(f, "\n  at {frame}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.NAME_CHARS$}", self.function)?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, " ({place:.NAME_CHARS$})"))
    }
}

impl Frame {
    fn is_own(&self) -> bool {
        match &self.place {
            Some(place) => !FOREIGN_FILES.iter().any(|foreign| place.contains(foreign)),
            None => !FOREIGN_FUNCTIONS.iter().any(|foreign| self.function.starts_with(foreign)),
        }
    }
}

/// Bytes of DWARF in a component: each trap reads them, and nobody bounds its time.
pub(crate) fn debug_bytes(component: &[u8]) -> usize {
    let parts = Parser::new(0).parse_all(component).map_while(Result::ok);
    let debug = parts.filter_map(|part| match part {
        Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
            Some(section.data().len())
        }
        _ => None,
    });
    debug.sum()
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
