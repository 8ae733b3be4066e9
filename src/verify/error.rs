//! Errors about images that were built or pushed by the current run.

use crate::error::{Class, Failure};

pub(crate) const CONCURRENT_PUSH_HINT: &str = "another job may have pushed at the same time: publish again";
pub(crate) const INSPECT_INDEX_HINT: &str =
    "inspect the index with `docker buildx imagetools inspect --raw REFERENCE`, and see how it was built with -vv";

/// Returns a verification failure with the message `image 'NAME': PROBLEM`.
pub(crate) fn image_failure(image: &str, problem: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Verify, format!("image '{image}': {problem}"))
}
