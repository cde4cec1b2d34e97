//! Who is asked first.

use crate::config::ProviderConfig;
use crate::names::ProviderName;

/// The providers that can be used, as indices into `providers`, in the order in which they are
/// asked: first those of `default_provider_priority`, then the rest by priority (the lowest
/// number first), ties in the file's order.
pub fn order(providers: &[ProviderConfig], preference: &[ProviderName]) -> Vec<usize> {
    let rank = |index: &usize| {
        let named = preference.iter().position(|name| *name == providers[*index].name);
        (named.unwrap_or(usize::MAX), if named.is_some() { 0 } else { providers[*index].priority })
    };
    let mut order: Vec<usize> = (0..providers.len()).filter(|index| providers[*index].usable.is_ok()).collect();
    order.sort_by_key(rank);
    order
}

/// The same order, but with the trigger's own provider first, if it is among them.
pub fn preferring(order: &[usize], preferred: Option<usize>) -> Vec<usize> {
    let preferred = preferred.filter(|index| order.contains(index));
    preferred.into_iter().chain(order.iter().copied().filter(|index| Some(*index) != preferred)).collect()
}
