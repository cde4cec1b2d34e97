//! Who is asked first.

use crate::config::ProviderConfig;
use crate::names::ProviderName;

/// The providers that can be used, in the order in which they are asked: first those of
/// `default_provider_priority`, then the rest by priority (the lowest number first), ties in the
/// file's order.
pub fn order<'a>(providers: &'a [ProviderConfig], preference: &[ProviderName]) -> Vec<&'a ProviderConfig> {
    let mut order: Vec<_> = providers.iter().filter(|provider| provider.usable.is_ok()).collect();
    order.sort_by_key(|provider| match preference.iter().position(|name| *name == provider.name) {
        Some(place) => (place, 0),
        None => (preference.len(), provider.priority),
    });
    order
}

/// The places `0..providers`, but with the trigger's own one first.
pub fn preferring(providers: usize, preferred: Option<usize>) -> impl Iterator<Item = usize> {
    preferred.into_iter().chain((0..providers).filter(move |place| Some(*place) != preferred))
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
            let names: String = order.iter().map(|provider| provider.name.as_str()).collect();
            assert_eq!(names, expected, "{preference:?}");
        }
    }

    #[test]
    fn unusable_ones_are_left_out() {
        let unusable = ProviderConfig { usable: Err("no key".to_owned()), ..provider("a") };
        let providers = [unusable, provider("b")];
        let order = order(&providers, &[ProviderName::new("a")]);
        assert_eq!(order.iter().map(|provider| provider.name.as_str()).collect::<String>(), "b");
    }

    #[test]
    fn the_triggers_own_provider_goes_to_the_front() {
        assert_eq!(preferring(3, Some(1)).collect::<Vec<_>>(), [1, 0, 2]);
        assert_eq!(preferring(3, None).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
