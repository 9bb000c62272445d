//! A function that handles one kind of call of one step.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Attribute, Error, Ident, ImplItemFn, LitStr, Result, Token,
    parse::{Parse, ParseStream},
};

use crate::parameter;

/// Which call it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Guard,
    Execute,
    Resume { undo: bool },
    Compensate,
}

pub struct Handler {
    pub kind: Kind,
    pub step: LitStr,
    function: Ident,
    arguments: Vec<TokenStream>,
}

/// `("step")`, `("step", undo)` or nothing.
struct Arguments {
    step: Option<LitStr>,
    undo: bool,
}

impl Parse for Arguments {
    fn parse(input: ParseStream) -> Result<Self> {
        let step = if input.is_empty() { None } else { Some(input.parse()?) };
        if input.is_empty() {
            return Ok(Self { step, undo: false });
        }
        input.parse::<Token![,]>()?;
        let word: Ident = input.parse()?;
        if word != "undo" || !input.is_empty() {
            return Err(Error::new(
                word.span(),
                "only `undo` may stand here: the resume of an undo",
            ));
        }
        Ok(Self { step, undo: true })
    }
}

impl Handler {
    /// Takes the attributes off a function that is a handler; nothing where it is none.
    pub fn take(function: &mut ImplItemFn) -> Result<Option<Self>> {
        let place = function.attrs.iter().position(|attribute| kind(attribute).is_some());
        let Some(place) = place else { return Ok(None) };
        let attribute = function.attrs.remove(place);
        if let Some(second) = function.attrs.iter().find(|attribute| kind(attribute).is_some()) {
            return Err(Error::new_spanned(second, "a function handles one kind of call"));
        }
        let Some(mut of) = kind(&attribute) else { return Ok(None) };
        let Arguments { step, undo } = match &attribute.meta {
            syn::Meta::Path(_) => Arguments { step: None, undo: false },
            _ => attribute.parse_args()?,
        };
        match &mut of {
            Kind::Resume { undo: of_undo } => *of_undo = undo,
            _ if undo => {
                return Err(Error::new_spanned(&attribute, "only a resume is one of an undo"));
            }
            _ => {}
        }
        let name = &function.sig.ident;
        let step = match step {
            Some(step) => step,
            None if of == Kind::Execute => LitStr::new(&name.to_string(), name.span()),
            None => return Err(Error::new_spanned(&attribute, "say of which step: (\"name\")")),
        };
        let arguments = function.sig.inputs.iter_mut();
        let arguments = arguments.map(|argument| parameter::take(argument, of, &step));
        let arguments = arguments.collect::<Result<_>>()?;
        Ok(Some(Self { kind: of, step, function: name.clone(), arguments }))
    }

    /// Its arm of a match on the step's name, of a resume on direction and name.
    pub fn arm(&self) -> TokenStream {
        let Self { step, function, arguments, .. } = self;
        let call = quote!(Self::#function(#(#arguments),*)?);
        let outcome = quote!(::wasaga_guest::handler::IntoOutcome::into_outcome(#call));
        match self.kind {
            Kind::Guard => quote!(#step => ::core::result::Result::Ok(#call)),
            Kind::Execute | Kind::Compensate => quote!(#step => #outcome),
            Kind::Resume { undo } => {
                let direction = if undo { quote!(Undo) } else { quote!(Forward) };
                quote!((::wasaga_guest::step::Direction::#direction, #step) => #outcome)
            }
        }
    }
}

fn kind(attribute: &Attribute) -> Option<Kind> {
    let name = attribute.path().get_ident()?;
    Some(match &*name.to_string() {
        "guard" => Kind::Guard,
        "step" => Kind::Execute,
        "resume" => Kind::Resume { undo: false },
        "compensate" => Kind::Compensate,
        _ => return None,
    })
}
