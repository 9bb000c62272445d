//! From an `impl` with handlers to the same without their attributes, and an `impl Steps` that calls them.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ImplItem, ItemImpl, Result};

use crate::handler::{Handler, Kind};

pub fn expand(mut item: ItemImpl) -> Result<TokenStream> {
    if item.trait_.is_some() || !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.self_ty,
            "#[steps] stands on an `impl` of the plugin's own type",
        ));
    }
    let mut handlers = Vec::new();
    for member in &mut item.items {
        if let ImplItem::Fn(function) = member {
            handlers.extend(Handler::take(function)?);
        }
    }
    check(&item, &handlers)?;
    let arms = |is_of: fn(Kind) -> bool| {
        let of_kind = handlers.iter().filter(|handler| is_of(handler.kind));
        of_kind.map(Handler::arm).collect::<Vec<_>>()
    };
    let execute = execute(&arms(|kind| kind == Kind::Execute));
    let guard = some(&arms(|kind| kind == Kind::Guard), guard);
    let resume = some(&arms(|kind| matches!(kind, Kind::Resume { .. })), resume);
    let compensate = some(&arms(|kind| kind == Kind::Compensate), compensate);
    let plugin = &item.self_ty;
    Ok(quote! {
        #item

        impl ::wasaga_guest::Steps for #plugin {
            #guard
            #execute
            #resume
            #compensate
        }
    })
}

/// The method, where anything is handled by it: the trait has one for nothing.
fn some(arms: &[TokenStream], method: fn(&[TokenStream]) -> TokenStream) -> Option<TokenStream> {
    (!arms.is_empty()).then(|| method(arms))
}

fn guard(arms: &[TokenStream]) -> TokenStream {
    quote! {
        fn guard(
            task: &::wasaga_guest::step::StepTask,
        ) -> ::core::result::Result<::wasaga_guest::step::Verdict, ::wasaga_guest::failure::Failure> {
            match task.step() {
                #(#arms,)*
                _ => ::core::result::Result::Ok(::wasaga_guest::step::Verdict::Proceed),
            }
        }
    }
}

fn execute(arms: &[TokenStream]) -> TokenStream {
    quote! {
        fn execute(
            task: &::wasaga_guest::step::StepTask,
        ) -> ::core::result::Result<::wasaga_guest::step::Outcome, ::wasaga_guest::failure::Failure> {
            let effects = &mut ::wasaga_guest::handler::Effects::default();
            let outcome = match task.step() {
                #(#arms,)*
                _ => return ::core::result::Result::Err(task.unknown_step()),
            };
            ::core::result::Result::Ok(effects.put_into(outcome))
        }
    }
}

fn resume(arms: &[TokenStream]) -> TokenStream {
    quote! {
        fn resume(
            task: &::wasaga_guest::step::StepTask,
            memo: ::core::option::Option<::wasaga_guest::payload::Payload>,
            undo: ::core::option::Option<::wasaga_guest::payload::Payload>,
            arrival: ::wasaga_guest::step::Arrival,
        ) -> ::core::result::Result<::wasaga_guest::step::Outcome, ::wasaga_guest::failure::Failure> {
            let _ = (&memo, &undo, &arrival);
            let effects = &mut ::wasaga_guest::handler::Effects::default();
            let outcome = match (task.attempt.direction, task.step()) {
                #(#arms,)*
                _ => return ::core::result::Result::Err(task.no_resume()),
            };
            ::core::result::Result::Ok(effects.put_into(outcome))
        }
    }
}

fn compensate(arms: &[TokenStream]) -> TokenStream {
    quote! {
        fn compensate(
            task: &::wasaga_guest::step::StepTask,
            undo: ::core::option::Option<::wasaga_guest::payload::Payload>,
        ) -> ::core::result::Result<::wasaga_guest::step::Outcome, ::wasaga_guest::failure::Failure> {
            let _ = &undo;
            let effects = &mut ::wasaga_guest::handler::Effects::default();
            let outcome = match task.step() {
                #(#arms,)*
                _ => return ::core::result::Result::Err(task.no_undo()),
            };
            ::core::result::Result::Ok(effects.put_into(outcome))
        }
    }
}

/// Each step is executed by one function, and has at most one of each other kind.
fn check(item: &ItemImpl, handlers: &[Handler]) -> Result<()> {
    if !handlers.iter().any(|handler| handler.kind == Kind::Execute) {
        return Err(Error::new_spanned(&item.self_ty, "no function here is a #[step]"));
    }
    for (place, handler) in handlers.iter().enumerate() {
        let of_step = |other: &&Handler| other.step.value() == handler.step.value();
        let before = handlers[..place].iter().filter(of_step);
        if before.into_iter().any(|other| other.kind == handler.kind) {
            let name = handler.step.value();
            return Err(Error::new(
                handler.step.span(),
                format!("step {name:?} has two handlers of this kind"),
            ));
        }
        let is_step = handlers.iter().filter(of_step).any(|other| other.kind == Kind::Execute);
        if !is_step {
            let name = handler.step.value();
            return Err(Error::new(
                handler.step.span(),
                format!("no #[step] here is named {name:?}"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn fault(item: ItemImpl) -> String {
        expand(item).expect_err("it is refused").to_string()
    }

    #[test]
    fn mistakes_are_told_where_they_are() {
        let faults = [
            (fault(parse_quote!(impl P { fn a() {} })), "no function here is a #[step]"),
            (fault(parse_quote!(impl Steps for P { #[step] fn a() {} })), "own type"),
            (
                fault(parse_quote!(impl P { #[step] fn a() {} #[step("a")] fn b() {} })),
                "two handlers",
            ),
            (
                fault(parse_quote!(impl P { #[step] fn a() {} #[compensate("b")] fn b() {} })),
                "named \"b\"",
            ),
            (
                fault(parse_quote!(impl P { #[step] fn a() {} #[compensate] fn b() {} })),
                "of which step",
            ),
            (fault(parse_quote!(impl P { #[step] #[guard("a")] fn a() {} })), "one kind of call"),
            (
                fault(parse_quote!(impl P { #[step] fn a(name: String) {} })),
                "where this comes from",
            ),
            (fault(parse_quote!(impl P { #[step] fn a(&self) {} })), "no self"),
            (
                fault(parse_quote!(impl P { #[step] fn a(#[undo] name: String) {} })),
                "#[compensate] and #[resume]",
            ),
            (
                fault(parse_quote!(impl P { #[step] fn a(#[memo] name: String) {} })),
                "#[resume] alone",
            ),
            (
                fault(parse_quote!(impl P { #[step] fn a(arrival: Arrival) {} })),
                "arrives for #[resume]",
            ),
            (
                fault(
                    parse_quote!(impl P { #[step] fn a() {} #[guard("a")] fn b(effects: &mut Effects) {} }),
                ),
                "a guard has no effects",
            ),
            (fault(parse_quote!(impl P { #[step("a", undo)] fn a() {} })), "only a resume"),
            (
                fault(parse_quote!(impl P { #[step("a", back)] fn a() {} })),
                "only `undo` may stand here",
            ),
        ];
        for (fault, told) in faults {
            assert!(fault.contains(told), "{told}: {fault}");
        }
    }
}
