//! The export macro of `gofe-plugin`. Use it by its name there: `#[gofe_plugin::plugin]`.

use proc_macro::TokenStream;
use proc_macro2::{Span, TokenStream as Tokens};
use quote::quote;
use syn::{Error, Ident, ImplItem, ItemImpl, Result};

/// The phase methods of the trait `Plugin`, which are the names of the phases too.
const PHASES: [&str; 6] = ["request_headers", "request_body", "response_headers", "response_body", "complete", "tick"];

/// Makes an implementation of `gofe_plugin::Plugin` the plugin of this crate.
///
/// It exports the component on WebAssembly, and tells the proxy which phases there are: exactly those whose
/// methods the implementation has. The proxy calls no others, so a method that is left out costs nothing.
#[proc_macro_attribute]
pub fn plugin(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(&arguments.into(), item.into()).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(arguments: &Tokens, item: Tokens) -> Result<Tokens> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`#[plugin]` takes no arguments"));
    }
    let mut block: ItemImpl = syn::parse2(item)?;
    check(&block)?;
    let phases = phases(&block);
    block.items.push(syn::parse_quote! {
        #[doc(hidden)]
        const PHASES: ::gofe_plugin::Phases = ::gofe_plugin::Phases::empty()
            #(.union(::gofe_plugin::Phases::#phases))*;
    });
    let plugin = &block.self_ty;
    Ok(quote! {
        #block

        #[cfg(target_family = "wasm")]
        ::gofe_plugin::__export!(#plugin);

        // Natively, only tests use the plugin; without them it would seem dead.
        #[cfg(not(target_family = "wasm"))]
        const _: fn(&str) = |configuration| drop(::gofe_plugin::guest::configure::<#plugin>(configuration));
    })
}

fn check(block: &ItemImpl) -> Result<()> {
    let is_plugin = block
        .trait_
        .as_ref()
        .and_then(|(path, _)| path.segments.last())
        .is_some_and(|segment| segment.ident == "Plugin");
    if !is_plugin {
        return Err(Error::new_spanned(&block.self_ty, "`#[plugin]` goes on an `impl Plugin for …`"));
    }
    if !block.generics.params.is_empty() {
        return Err(Error::new_spanned(&block.generics, "a plugin is one type: it cannot be generic"));
    }
    Ok(())
}

/// The names of the phase flags for the methods that the block has.
fn phases(block: &ItemImpl) -> Vec<Ident> {
    let has = |phase: &&&str| {
        block.items.iter().any(|item| matches!(item, ImplItem::Fn(method) if method.sig.ident == **phase))
    };
    PHASES.iter().filter(has).map(|phase| Ident::new(&phase.to_uppercase(), Span::call_site())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(source: &str) -> String {
        match expand(&Tokens::new(), source.parse().unwrap()) {
            Ok(tokens) => tokens.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn phases_are_the_methods_of_the_implementation() {
        let tokens = expanded("impl Plugin for A { fn complete(&self) {} fn request_headers(&self) {} }");
        assert!(tokens.contains("REQUEST_HEADERS"));
        assert!(tokens.contains("COMPLETE"));
        assert!(!tokens.contains("TICK"));
    }

    #[test]
    fn only_an_implementation_of_plugin_is_taken() {
        assert!(expanded("impl A { fn complete(&self) {} }").starts_with("error: `#[plugin]` goes on"));
        assert!(expanded("impl<T> Plugin for A<T> {}").starts_with("error: a plugin is one type"));
    }
}
