class CargoMultiarch < Formula
  desc "Publish a Rust workspace as multi-platform container images"
  homepage "@REPOSITORY@"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "@REPOSITORY@/releases/download/v@VERSION@/cargo-multiarch-v@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@SHA256_aarch64_apple_darwin@"
    end
    on_intel do
      url "@REPOSITORY@/releases/download/v@VERSION@/cargo-multiarch-v@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@SHA256_x86_64_apple_darwin@"
    end
  end

  # Static programs, which do not depend on Homebrew's glibc.
  on_linux do
    on_arm do
      url "@REPOSITORY@/releases/download/v@VERSION@/cargo-multiarch-v@VERSION@-aarch64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256_aarch64_unknown_linux_musl@"
    end
    on_intel do
      url "@REPOSITORY@/releases/download/v@VERSION@/cargo-multiarch-v@VERSION@-x86_64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256_x86_64_unknown_linux_musl@"
    end
  end

  def install
    bin.install "cargo-multiarch"
    bash_completion.install "completions/cargo-multiarch"
    fish_completion.install "completions/cargo-multiarch.fish"
    zsh_completion.install "completions/_cargo-multiarch"
    man1.install Dir["man/*.1"]
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/cargo-multiarch --version")
  end
end
