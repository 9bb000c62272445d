//! A good component of somebody else's world: nothing that this host could call.

#![allow(unsafe_code, reason = "generated code that crosses the component's boundary")]

wit_bindgen::generate!({
    inline: "
        package elsewhere:oracle@1.0.0;
        world oracle { export answer: func() -> u32; }
    ",
});

struct Oracle;

impl Guest for Oracle {
    fn answer() -> u32 {
        42
    }
}

export!(Oracle);
