//! What wit-bindgen makes of `wit/wasaga.wit`. The imports are generated once, and each exported interface in a world
//! of its own, so that a plugin exports exactly those it implements: the linker merges the worlds it uses, and drops
//! the imports that it does not call.
//!
//! To add an interface: import it below, or give it a world and a module as `steps` has.
#![allow(
    unsafe_code,
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::unwrap_used,
    reason = "generated code that crosses the component's boundary"
)]

/// All that a plugin may call, and the types that imports and exports share.
pub mod imports {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package wasaga:guest-imports;
            world all {
                import wasaga:plugin/context@0.1.0;
                import wasaga:plugin/logging@0.1.0;
                import wasaga:plugin/config@0.1.0;
                import wasaga:plugin/ambient@0.1.0;
                import wasaga:plugin/sql@0.1.0;
                import wasaga:plugin/event-store@0.1.0;
                import wasaga:plugin/http@0.1.0;
            }
        ",
        generate_all,
        additional_derives: [PartialEq],
    });
}

/// The export `plugin`: the manifest.
pub mod plugin {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package wasaga:guest-plugin;
            world describing { export wasaga:plugin/plugin@0.1.0; }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_plugin",
        default_bindings_module: "wasaga_guest::bindings::plugin",
    });
}

/// The export `steps`.
pub mod steps {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package wasaga:guest-steps;
            world stepping { export wasaga:plugin/steps@0.1.0; }
        ",
        with: {
            "wasaga:plugin/types@0.1.0": super::imports::wasaga::plugin::types,
            "wasaga:plugin/steps@0.1.0": generate,
        },
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_steps",
        default_bindings_module: "wasaga_guest::bindings::steps",
    });
}

/// The export `tasks`.
pub mod tasks {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package wasaga:guest-tasks;
            world working { export wasaga:plugin/tasks@0.1.0; }
        ",
        with: {
            "wasaga:plugin/types@0.1.0": super::imports::wasaga::plugin::types,
            "wasaga:plugin/tasks@0.1.0": generate,
        },
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_tasks",
        default_bindings_module: "wasaga_guest::bindings::tasks",
    });
}

/// The export `lifecycle`.
pub mod lifecycle {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package wasaga:guest-lifecycle;
            world listening { export wasaga:plugin/lifecycle@0.1.0; }
        ",
        with: {
            "wasaga:plugin/types@0.1.0": super::imports::wasaga::plugin::types,
            "wasaga:plugin/lifecycle@0.1.0": generate,
        },
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        default_bindings_module: "wasaga_guest::bindings::lifecycle",
    });
}
