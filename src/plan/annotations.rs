//! Assigns annotations to an image's index and to the manifests of its platforms. Prefixes are those of buildx, but
//! buildx adds annotations without a prefix only to manifests.

use indexmap::IndexMap;

use crate::error::{Class, Failure};

/// The annotations of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Annotations {
    pub index: IndexMap<String, String>,
    /// Annotations of every platform's manifest.
    pub manifests: IndexMap<String, String>,
}

/// What a configured annotation applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnnotationScope {
    Index,
    Manifests,
    Both,
}

const PREFIXES: [&str; 2] = ["index", "manifest"];

/// Adds the configured annotations of an image to `derived`, which apply to both the index and the manifests. An
/// annotation with a prefix takes precedence over one without. Without an index, fails if an annotation applies only to
/// the index.
pub(crate) fn resolve(
    image: &str,
    derived: IndexMap<String, String>,
    configured: &IndexMap<String, String>,
    has_index: bool,
) -> Result<Annotations, Failure> {
    let mut annotations = Annotations { index: derived.clone(), manifests: derived };
    let mut with_prefix = Vec::new();
    for (key, value) in configured {
        let (scope, name) = parse_key(image, key)?;
        if scope == AnnotationScope::Index && !has_index {
            let message = format!("image '{image}': annotation '{key}' needs an index, but index = false");
            return Err(Failure::new(Class::Config, message).hint(format!("annotate the manifest: \"{name}\" = \"…\"")));
        }
        if scope == AnnotationScope::Both {
            annotations.add(scope, name, value);
        } else {
            with_prefix.push((scope, name, value));
        }
    }
    for (scope, name, value) in with_prefix {
        annotations.add(scope, name, value);
    }
    if !has_index {
        annotations.index.clear();
    }
    Ok(annotations)
}

impl Annotations {
    fn add(&mut self, scope: AnnotationScope, name: &str, value: &str) {
        if scope != AnnotationScope::Manifests {
            self.index.insert(name.to_owned(), value.to_owned());
        }
        if scope != AnnotationScope::Index {
            self.manifests.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// Splits the prefix from a key. Fails if the prefix is unknown or the name is not valid.
fn parse_key<'a>(image: &str, key: &'a str) -> Result<(AnnotationScope, &'a str), Failure> {
    let failure = |problem: &str| {
        Failure::new(Class::Config, format!("image '{image}': annotation '{}' {problem}", key.escape_debug()))
    };
    let (scope, name) = match key.split_once(':') {
        None => (AnnotationScope::Both, key),
        Some(("index", name)) => (AnnotationScope::Index, name),
        Some(("manifest", name)) => (AnnotationScope::Manifests, name),
        Some((prefix, _)) => {
            let failure = failure(&format!("has the unsupported prefix '{}'", prefix.escape_debug()));
            return Err(failure
                .did_you_mean(prefix, PREFIXES)
                .hint("use `index:` or `manifest:`, or no prefix to annotate both the index and the manifests"));
        }
    };
    if name.is_empty() || name.contains(|c: char| c == '=' || c == ':' || c.is_whitespace() || c.is_control()) {
        return Err(failure("is not valid")
            .hint("use a name without whitespace, '=' or ':', such as \"org.opencontainers.image.vendor\""));
    }
    Ok((scope, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn prefixes_select_the_index_or_the_manifests() {
        for (configured, index, manifests) in [
            (&[][..], &[("a", "1")][..], &[("a", "1")][..]),
            (&[("b", "2")], &[("a", "1"), ("b", "2")], &[("a", "1"), ("b", "2")]),
            (&[("index:b", "2")], &[("a", "1"), ("b", "2")], &[("a", "1")]),
            (&[("manifest:a", "2")], &[("a", "1")], &[("a", "2")]),
            (&[("index:a", "2"), ("a", "3")], &[("a", "2")], &[("a", "3")]),
        ] {
            let resolved = resolve("app", map(&[("a", "1")]), &map(configured), true).unwrap();
            assert_eq!(resolved, Annotations { index: map(index), manifests: map(manifests) }, "{configured:?}");
        }
        let without = resolve("app", map(&[("a", "1")]), &map(&[("b", "2")]), false).unwrap();
        assert_eq!(without, Annotations { index: map(&[]), manifests: map(&[("a", "1"), ("b", "2")]) });
    }
}
