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
    let mut order: Vec<usize> =
        (0..providers.len()).filter(|index| providers[*index].usable.is_ok()).collect();
    order.sort_by_key(rank);
    order
}

/// The same order, but with the trigger's own provider first, if it is among them.
pub fn preferring(order: &[usize], preferred: Option<usize>) -> Vec<usize> {
    let preferred = preferred.filter(|index| order.contains(index));
    preferred.into_iter().chain(order.iter().copied().filter(|index| Some(*index) != preferred)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::fixtures::provider;

    #[test]
    fn the_named_ones_come_first_then_the_rest_by_priority_then_the_files_order() {
        let provider = |(name, priority): (&str, i64)| ProviderConfig { priority, ..provider(name) };
        let providers = [("a", 99), ("b", 5), ("c", 99), ("d", 1), ("e", 5)].map(provider);
        for (preference, expected) in
            [(&[][..], "dbeac"), (&["c"], "cdbea"), (&["c", "b"], "cbdea"), (&["nobody", "a"], "adbec")]
        {
            let preference: Vec<ProviderName> =
                preference.iter().map(|name| ProviderName::new(name)).collect();
            let order = order(&providers, &preference);
            let names: String = order.iter().map(|index| providers[*index].name.as_str()).collect();
            assert_eq!(names, expected, "{preference:?}");
        }
    }

    #[test]
    fn unusable_ones_are_left_out() {
        let unusable = ProviderConfig { usable: Err("no key".to_owned()), ..provider("a") };
        assert_eq!(order(&[unusable.clone(), provider("b")], &[ProviderName::new("a")]), [1]);
        assert!(order(&[unusable], &[]).is_empty());
    }

    #[test]
    fn the_triggers_own_provider_goes_to_the_front_when_it_can_be_used() {
        assert_eq!(preferring(&[2, 0, 1], Some(1)), [1, 2, 0]);
        assert_eq!(preferring(&[2, 0, 1], Some(7)), [2, 0, 1]);
        assert_eq!(preferring(&[2, 0, 1], None), [2, 0, 1]);
    }
}
