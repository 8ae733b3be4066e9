//! Failures of an image that this run made or pushed.

use crate::error::{Class, Failure};

pub(crate) const CONCURRENT_PUSH_HINT: &str = "somebody else may have pushed there at the same time: publish again";
pub(crate) const INSPECT_INDEX_HINT: &str =
    "see what is there: `docker buildx imagetools inspect --raw REFERENCE`, and with -vv what built it";

/// Returns the failure `image 'NAME': PROBLEM`.
pub(crate) fn image_failure(image: &str, problem: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Verify, format!("image '{image}': {problem}"))
}
