//! Where a handler's parameter comes from: what it says, or its type where that says enough.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, FnArg, LitStr, PatType, Result, Type};

use crate::handler::Kind;

const SOURCES: &str = "say where this comes from: #[input], #[output(\"step\")], #[undo] or #[memo]; without it a handler \
                       takes `&StepTask`, `&mut Effects` and, to resume, `Arrival`";

/// Takes the attribute off a parameter; the argument for it.
pub fn take(argument: &mut FnArg, kind: Kind, step: &LitStr) -> Result<TokenStream> {
    let FnArg::Typed(parameter) = argument else {
        return Err(Error::new_spanned(
            argument,
            "a handler has no self: each call is an instance's first",
        ));
    };
    let resumes = matches!(kind, Kind::Resume { .. });
    let refuse = |parameter: &PatType, why: &str| Err(Error::new_spanned(parameter, why));
    let attributes = std::mem::take(&mut parameter.attrs);
    if let Some(source) = attributes.first() {
        if let Some(second) = attributes.get(1) {
            return Err(Error::new_spanned(second, "a parameter comes from one place"));
        }
        return match &*name(source) {
            "input" => Ok(quote!(task.input_json()?)),
            "output" => {
                let of: LitStr = source.parse_args()?;
                Ok(quote!(::wasaga_guest::handler::output(#of)?))
            }
            "undo" if resumes || kind == Kind::Compensate => {
                Ok(quote!(::wasaga_guest::handler::kept("undo data", #step, undo.as_ref())?))
            }
            "undo" => refuse(parameter, "undo data comes to #[compensate] and #[resume] alone"),
            "memo" if resumes => {
                Ok(quote!(::wasaga_guest::handler::kept("memo", #step, memo.as_ref())?))
            }
            "memo" => refuse(parameter, "a memo comes to #[resume] alone"),
            _ => Err(Error::new_spanned(source, SOURCES)),
        };
    }
    match &*type_name(&parameter.ty) {
        "StepTask" => Ok(quote!(task)),
        "Effects" if kind != Kind::Guard => Ok(quote!(effects)),
        "Effects" => refuse(parameter, "a guard has no effects"),
        "Arrival" if resumes => Ok(quote!(arrival)),
        "Arrival" => refuse(parameter, "something arrives for #[resume] alone"),
        _ => refuse(parameter, SOURCES),
    }
}

fn name(attribute: &Attribute) -> String {
    attribute.path().get_ident().map(ToString::to_string).unwrap_or_default()
}

/// The last segment of a type's path, or of what it refers to.
fn type_name(of: &Type) -> String {
    match of {
        Type::Reference(reference) => type_name(&reference.elem),
        Type::Path(path) => {
            path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default()
        }
        _ => String::new(),
    }
}
