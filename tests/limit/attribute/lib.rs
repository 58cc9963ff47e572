//! `#[test]` for buzon: the compiler's or tokio's, and a time limit.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// Declares a test. For an `async` one, the arguments are those of tokio's attribute.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let is_async = function
        .clone()
        .into_iter()
        .any(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "async"));
    let kind = if is_async { format!("::tokio::test({arguments})") } else { "::core::prelude::v1::test".to_owned() };
    // What tokio makes of the function is limited, and not a part of it.
    let attributes: TokenStream = format!("#[{kind}] #[::limit::limited]").parse().expect("it is Rust");
    attributes.into_iter().chain(function).collect()
}

/// Lets the body of a function without arguments run within the time limit.
#[proc_macro_attribute]
pub fn limited(_: TokenStream, function: TokenStream) -> TokenStream {
    let mut tokens: Vec<TokenTree> = function.into_iter().collect();
    let body = tokens.pop().expect("a function has a body");
    let closure: TokenStream = "||".parse().expect("it is Rust");
    let argument = Group::new(Delimiter::Parenthesis, closure.into_iter().chain([body]).collect());
    let call: TokenStream = "::limit::within_limit".parse().expect("it is Rust");
    let call = call.into_iter().chain([TokenTree::Group(argument)]).collect();
    tokens.push(TokenTree::Group(Group::new(Delimiter::Brace, call)));
    tokens.into_iter().collect()
}
