//! Tags that name their repository, as in `--tag ghcr.io/you/app:1.2.3`. They set the repositories and tags of the image
//! `app`, and replace configured registries.

use indexmap::IndexSet;

use super::Image;
use super::check_names::compose_repository;
use crate::config::Config;
use crate::error::{Class, Failure};

/// A tag with its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagReference {
    repository: String,
    /// The tag, as a template.
    tag: String,
}

impl TagReference {
    /// Parses `REPOSITORY:TAG`. Returns `None` if `text` is only a tag.
    fn parse(text: &str) -> Option<TagReference> {
        let (repository, tag) = text.rsplit_once(':')?;
        let is_reference = repository.contains('/') && !tag.contains('/');
        is_reference.then(|| TagReference { repository: repository.to_owned(), tag: tag.to_owned() })
    }

    /// Returns the registry for the image `name`. Returns `None` if this is the repository of another image.
    fn registry(&self, name: &str) -> Option<&str> {
        self.repository.strip_suffix(name)?.strip_suffix('/')
    }

    fn text(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// Returns the same tag for another image in the same registry.
    fn text_for_image(&self, name: &str) -> String {
        let registry = self.repository.rsplit_once('/').map_or("", |(registry, _)| registry);
        format!("{registry}/{name}:{}", self.tag)
    }
}

/// Returns the tags with repositories that were set by flags or environment variables. Returns an empty list if no tag
/// has a repository.
pub(crate) fn parse(command_line: &Config) -> Result<Vec<TagReference>, Failure> {
    let mut references = Vec::new();
    let mut without_repository = None;
    for tag in command_line.tags.iter().flatten() {
        match TagReference::parse(tag) {
            Some(reference) => references.push(reference),
            None => without_repository = Some(tag),
        }
    }
    let Some(first) = references.first() else { return Ok(references) };
    if let Some(tag) = without_repository {
        let message = format!("tag '{}' names a repository, but tag '{tag}' does not", first.text());
        return Err(Failure::new(Class::Config, message)
            .hint(format!("name the repository in every tag: `--tag {}:{tag}`", first.repository)));
    }
    if command_line.registry.is_some() {
        let message = format!("tag '{}' names a repository, so a registry cannot be set too", first.text());
        return Err(Failure::new(Class::Config, message)
            .hint(format!("remove `--registry` and MULTIARCH_REGISTRY, or use `--tag {}`", first.tag)));
    }
    Ok(references)
}

/// The repositories of an image and its tags, as templates.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub repositories: IndexSet<String>,
    pub tags: Vec<String>,
}

/// Returns the destination of the image `name`. Fails if there is none, or if its repositories have different tags.
pub(crate) fn destination(references: &[TagReference], name: &str) -> Result<Destination, Failure> {
    let mut repositories = IndexSet::new();
    let mut tags = IndexSet::new();
    let mut pairs = IndexSet::new();
    for reference in references {
        let Some(registry) = reference.registry(name) else { continue };
        let repository = compose_repository(registry, name)?;
        repositories.insert(repository.clone());
        tags.insert(reference.tag.clone());
        pairs.insert((repository, reference.tag.clone()));
    }
    if repositories.is_empty() {
        let example = references.first().map(|first| first.text_for_image(name)).unwrap_or_default();
        return Err(Failure::new(Class::Config, format!("no tag names a repository of image '{name}'"))
            .hint(format!("add one that ends with the image's name: `--tag {example}`"))
            .hint("or name the image after its repository in the configuration: [images.NAME]")
            .hint("or select the images to publish: `--package NAME` or `--bin NAME`"));
    }
    if pairs.len() != repositories.len() * tags.len() {
        let list = Vec::from_iter(repositories).join(" and ");
        return Err(Failure::new(Class::Config, format!("image '{name}' has different tags in {list}"))
            .hint("use the same tags for every repository, or publish to each repository separately"));
    }
    Ok(Destination { repositories, tags: tags.into_iter().collect() })
}

/// Fails if a tag names a repository of none of the images.
pub(crate) fn check_all_used(references: &[TagReference], images: &[Image]) -> Result<(), Failure> {
    let is_used = |reference: &TagReference| images.iter().any(|image| reference.registry(&image.name).is_some());
    let Some(unused) = references.iter().find(|reference| !is_used(reference)) else { return Ok(()) };
    let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
    Err(Failure::new(Class::Config, format!("tag '{}' names a repository of none of the images", unused.text()))
        .hint(format!("a repository ends with the name of its image, which is one of: {}", names.join(", ")))
        .hint("to use another name, set it in the configuration: [images.NAME]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OneOrMany;

    fn references(tags: &[&str]) -> Result<Vec<TagReference>, Failure> {
        parse(&Config { tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()), ..Config::default() })
    }

    #[test]
    fn tags_may_name_their_repository() {
        for (tag, expected) in [
            ("ghcr.io/you/app:1.2.3", Some(("ghcr.io/you/app", "1.2.3"))),
            ("localhost:5000/app:{{version}}", Some(("localhost:5000/app", "{{version}}"))),
            ("you/app:latest", Some(("you/app", "latest"))),
            ("1.2.3", None),
            ("app:1.2.3", None),
            ("a/b", None),
            ("localhost:5000/app", None),
        ] {
            let parsed = TagReference::parse(tag);
            let parsed = parsed.as_ref().map(|parsed| (parsed.repository.as_str(), parsed.tag.as_str()));
            assert_eq!(parsed, expected, "{tag}");
        }
        assert_eq!(references(&["1.2.3", "latest"]).unwrap(), []);
    }

    #[test]
    fn repositories_belong_to_the_image_whose_name_they_end_with() {
        let all = references(&[
            "ghcr.io/you/app:1",
            "you/app:1",
            "ghcr.io/you/my-app:2",
            "ghcr.io/you/app:latest",
            "you/app:latest",
        ]);
        let all = all.unwrap();
        let app = destination(&all, "app").unwrap();
        assert_eq!(Vec::from_iter(app.repositories), ["ghcr.io/you/app", "you/app"]);
        assert_eq!(app.tags, ["1", "latest"]);
        assert_eq!(destination(&all, "my-app").unwrap().tags, ["2"]);
    }

    #[test]
    fn contradictory_tags_are_rejected() {
        let mixed = references(&["ghcr.io/you/app:1", "latest"]).unwrap_err();
        assert_eq!(mixed.to_string(), "tag 'ghcr.io/you/app:1' names a repository, but tag 'latest' does not");
        assert_eq!(mixed.hints(), ["name the repository in every tag: `--tag ghcr.io/you/app:latest`"]);
        let config = Config {
            tags: Some(vec!["r.example/app:1".to_owned()]),
            registry: Some(OneOrMany::One("r.example".to_owned())),
            ..Config::default()
        };
        assert!(parse(&config).unwrap_err().to_string().ends_with("so a registry cannot be set too"));
        let all = references(&["ghcr.io/you/app:1", "you/app:2"]).unwrap();
        let different = destination(&all, "app").unwrap_err();
        assert_eq!(different.to_string(), "image 'app' has different tags in ghcr.io/you/app and you/app");
        let none = destination(&all, "cli").unwrap_err();
        assert_eq!(none.hints()[0], "add one that ends with the image's name: `--tag ghcr.io/you/cli:1`");
        let invalid = references(&["https://ghcr.io/app:1"]).unwrap();
        assert!(destination(&invalid, "app").is_err());
    }
}
