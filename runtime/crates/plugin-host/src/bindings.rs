//! What wasmtime makes of `wit/wasaga.wit`: the types of the contract, and a trait an import.
//!
//! Parameters of exports borrow, so that a call copies its input once, into the guest's memory. The exports' generated
//! `Guest` types are not used: they check four functions' types on each call where one is called.
#![allow(
    dead_code,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

wasmtime::component::bindgen!({
    path: "../../../wit",
    inline: "
        package wasaga:host;
        world plugin {
            import wasaga:plugin/context@0.1.0;
            import wasaga:plugin/logging@0.1.0;
            import wasaga:plugin/config@0.1.0;
            import wasaga:plugin/ambient@0.1.0;
            import wasaga:plugin/sql@0.1.0;
            import wasaga:plugin/event-store@0.1.0;
            import wasaga:plugin/http@0.1.0;
            export wasaga:plugin/plugin@0.1.0;
            export wasaga:plugin/steps@0.1.0;
            export wasaga:plugin/tasks@0.1.0;
            export wasaga:plugin/lifecycle@0.1.0;
        }
    ",
    imports: {
        "wasaga:plugin/sql": async | trappable,
        "wasaga:plugin/event-store": async | trappable,
        "wasaga:plugin/http": async | trappable,
        default: trappable,
    },
    ownership: Borrowing { duplicate_if_necessary: true },
});
