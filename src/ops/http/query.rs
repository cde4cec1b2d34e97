//! What may be asked of a page: each parameter is known, and there at most once.

use std::borrow::Cow;

use url::form_urlencoded;

/// A parameter of a request.
pub(super) struct Parameter<'a> {
    pub name: Cow<'a, str>,
    pub value: Cow<'a, str>,
    /// All that may be asked, for whoever asked something else.
    allowed: &'static str,
}

impl Parameter<'_> {
    /// What is wrong with it, in words for whoever asked.
    pub fn bad(&self, what: &str) -> String {
        format!("{:.100}: {what}; {}", self.name, self.allowed)
    }
}

/// The parameters of a query, one by one; instead of one that is there twice, what to answer.
pub(super) fn parameters<'a>(
    query: &'a str,
    allowed: &'static str,
) -> impl Iterator<Item = Result<Parameter<'a>, String>> {
    let mut seen = Vec::new();
    form_urlencoded::parse(query.as_bytes()).map(move |(name, value)| {
        let parameter = Parameter { name, value, allowed };
        if seen.contains(&parameter.name) {
            return Err(parameter.bad("is there twice"));
        }
        seen.push(parameter.name.clone());
        Ok(parameter)
    })
}
