//! Output options: message formats, reports, and additional destinations for images.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use crate::plan::{Output, PlanRequest};

/// Format of the result on stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MessageFormat {
    #[default]
    Human,
    Json,
}

/// Format of a plan's graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// SVG image
    Svg,
    /// Graphviz
    Dot,
}

/// How thoroughly layers in the registry are checked after they were pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReadBack {
    /// Each layer is present and has the right size
    Size,
    /// Each layer is downloaded and hashed
    Full,
}

#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// Print the plan as a graph
    ///
    /// The format defaults to svg.
    #[arg(
        long,
        value_name = "FORMAT",
        num_args = 0..=1,
        default_missing_value = "svg",
        conflicts_with = "message_format",
        help_heading = "Output"
    )]
    pub graph: Option<GraphFormat>,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Write a JSON report to a file
    ///
    /// Use `-` to write to stdout, in place of the image references.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report: Option<Utf8PathBuf>,

    /// Write a release checklist in Markdown to a file
    ///
    /// Use `-` to write to stdout.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub checklist: Option<Utf8PathBuf>,

    /// Write a timing report to target/multiarch/timings.html
    #[arg(long, help_heading = "Output")]
    pub timings: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "human", help_heading = "Output")]
    pub message_format: MessageFormat,
}

/// Options for additional image outputs and for bundles of compiled binaries.
#[derive(Debug, Default, Args)]
pub(crate) struct DestinationArgs {
    /// Write images to oci:DIR or oci-archive:FILE
    ///
    /// The output is an OCI layout, either a directory or a tar archive. May be repeated.
    #[arg(long = "output", value_name = "TRANSPORT:PATH", help_heading = "Output")]
    outputs: Vec<Output>,
    /// Load images into the local Docker or Podman image store
    ///
    /// Only the image for the Docker or Podman host's platform is loaded.
    #[arg(long, help_heading = "Output")]
    load: bool,
    /// Use binaries compiled by `cargo multiarch compile` instead of compiling
    ///
    /// Each directory is a bundle or contains bundles.
    #[arg(long, value_name = "DIR", value_delimiter = ',', help_heading = "Compilation")]
    artifacts: Vec<Utf8PathBuf>,
}

impl DestinationArgs {
    /// Adds these options to a plan request.
    pub(crate) fn add_to(&self, request: PlanRequest) -> PlanRequest {
        PlanRequest { outputs: self.outputs.clone(), artifacts: self.artifacts.clone(), load: self.load, ..request }
    }
}
