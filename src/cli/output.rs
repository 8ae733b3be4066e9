//! Flags that say where results go.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use crate::plan::{Output, PlanRequest};

/// The format of the result on stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MessageFormat {
    #[default]
    Human,
    Json,
}

/// The format of a plan's graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// A picture
    Svg,
    /// For Graphviz
    Dot,
}

#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// Draw the plan, on stdout [svg where no format is named]
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
    /// Write the versioned report as JSON to FILE; `-` is stdout, in place of the lines there
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report: Option<Utf8PathBuf>,

    /// Write the report as Markdown for a release or a pull request to FILE; `-` is stdout
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub checklist: Option<Utf8PathBuf>,

    /// Write where the time of the run went to target/multiarch/timings.html
    #[arg(long, help_heading = "Output")]
    pub timings: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// The form of the result on stdout: a line per image (`plan`: a table), or the versioned report
    #[arg(long, value_name = "FORMAT", default_value = "human", help_heading = "Output")]
    pub message_format: MessageFormat,
}

/// Where images go beside the registry, and where their binaries come from.
#[derive(Debug, Default, Args)]
pub(crate) struct DestinationArgs {
    /// Also write an OCI layout (oci:DIR) or an archive of one (oci-archive:FILE); may be repeated
    #[arg(long = "output", value_name = "TRANSPORT:PATH", help_heading = "Output")]
    outputs: Vec<Output>,
    /// Load the image into the local Docker or Podman, for its own platform
    #[arg(long, help_heading = "Output")]
    load: bool,
    /// Take the binaries from bundles of `cargo multiarch compile`, or from folders with bundles in them, and compile nothing
    #[arg(long, value_name = "DIR", value_delimiter = ',', help_heading = "Compilation")]
    artifacts: Vec<Utf8PathBuf>,
}

impl DestinationArgs {
    /// Adds the destinations to a request.
    pub(crate) fn add_to(&self, request: PlanRequest) -> PlanRequest {
        PlanRequest { outputs: self.outputs.clone(), artifacts: self.artifacts.clone(), load: self.load, ..request }
    }
}
