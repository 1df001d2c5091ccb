//! `dmwsi syncml`: what devices send, turned into what people read, and back.
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use dmwsi_protocol::document::Document;
use dmwsi_protocol::encoding::Encoding;

use crate::Failure;

/// The largest file that is read, in bytes: it has to fit into memory several times.
const LARGEST: u64 = 64 * 1024 * 1024;

#[derive(Args)]
pub(crate) struct Syncml {
    #[command(subcommand)]
    which: Which,
}

#[derive(Subcommand)]
enum Which {
    /// Show a message, a tree (TNDS) or a description (DDF) for people.
    ///
    /// What the file is in is seen by its first byte. Everything in it is shown, passwords too.
    Decode {
        /// The file; `-` for standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What to show it in.
        #[arg(long, value_enum, default_value_t = View::Json)]
        to: View,
    },
    /// Write a message, a tree (TNDS) or a description (DDF) for devices.
    ///
    /// The file is JSON as `decode` shows it, XML or WBXML, which is seen by its first byte. Nothing is added and no sense is asked of it.
    Encode {
        /// The file; `-` for standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What to write it in.
        #[arg(long, value_enum, default_value_t = Wire::Wbxml)]
        to: Wire,
        /// Where to write it; standard output when absent.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum View {
    /// JSON: an object for each element.
    Json,
    /// XML, indented.
    Xml,
}

#[derive(Clone, Copy, ValueEnum)]
enum Wire {
    /// WAP Binary XML.
    Wbxml,
    /// XML without layout.
    Xml,
}

impl Syncml {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.which {
            Which::Decode { file, to } => {
                let document = read(&file)?;
                let mut shown = match to {
                    View::Json => serde_json::to_string_pretty(&document)?,
                    View::Xml => document.pretty()?,
                };
                if !shown.ends_with('\n') {
                    shown.push('\n');
                }
                write(shown.as_bytes())
            }
            Which::Encode { file, to, output } => {
                let encoding = match to {
                    Wire::Wbxml => Encoding::Wbxml,
                    Wire::Xml => Encoding::Xml,
                };
                let bytes = read(&file)?.encode(encoding)?;
                match output {
                    Some(output) => std::fs::write(&output, bytes)
                        .map_err(|error| format!("cannot write {}: {error}", output.display()).into()),
                    None if encoding == Encoding::Wbxml && io::stdout().is_terminal() => {
                        Err("WBXML is nothing for a terminal: name a file with --output, or redirect the output".into())
                    }
                    None => write(&bytes),
                }
            }
        }
    }
}

fn read(file: &PathBuf) -> Result<Document, Failure> {
    let name = file.display();
    let mut bytes = Vec::new();
    let result = if file.as_os_str() == "-" {
        io::stdin().take(LARGEST.saturating_add(1)).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(LARGEST.saturating_add(1)).read_to_end(&mut bytes))
    };
    result.map_err(|error| format!("cannot read {name}: {error}"))?;
    if u64::try_from(bytes.len())? > LARGEST {
        return Err(format!("{name} has more than {LARGEST} bytes").into());
    }
    let first = bytes.trim_ascii_start().first();
    match first {
        Some(b'{') => serde_json::from_slice(&bytes).map_err(|error| {
            let at = offset(&bytes, error.line(), error.column());
            format!("{name} is no JSON view of a document: {error} (byte {at})").into()
        }),
        _ => {
            let encoding = Encoding::sniff(&bytes, None);
            let kind = if encoding == Encoding::Xml { "XML" } else { "WBXML" };
            Document::decode(encoding, &bytes).map_err(|error| format!("{name}, read as {kind}: {error}").into())
        }
    }
}

/// The offset of that column (from 1) of that line (from 1).
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let before = bytes.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len);
    before.sum::<usize>().saturating_add(column.saturating_sub(1)).min(bytes.len())
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
