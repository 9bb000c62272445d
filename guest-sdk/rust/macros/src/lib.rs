//! The attribute `wasaga_guest::steps`, which that crate documents.

mod expand;
mod handler;
mod parameter;

use proc_macro::TokenStream;
use syn::{ItemImpl, parse_macro_input};

/// See `wasaga_guest::steps`.
#[proc_macro_attribute]
pub fn steps(_: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemImpl);
    expand::expand(item).unwrap_or_else(syn::Error::into_compile_error).into()
}
