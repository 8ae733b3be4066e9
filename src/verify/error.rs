//! Errors about images that the current run built or pushed.

use crate::error::{Class, Failure};

pub(crate) const CONCURRENT_PUSH_HINT: &str = "another job may have pushed at the same time: publish again";
pub(crate) const INSPECT_INDEX_HINT: &str =
    "inspect the index: `docker buildx imagetools inspect --raw REFERENCE`; rerun with -vv to see how it was built";

/// Returns a verification failure with the message `image 'NAME': PROBLEM`.
pub(crate) fn image_failure(image: &str, problem: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Verify, format!("image '{image}': {problem}"))
}
