//! `larder serve`: runs a node.

use super::failure::{Exit, Failure};
use super::output;
use crate::base::size::Size;
use crate::node::{self, Configuration};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Runs a node until SIGTERM or SIGINT
///
/// Says on one line when it is ready, and where. Without any option it serves ./larder-data on 127.0.0.1:7400, and over
/// HTTP on 127.0.0.1:7480. Options win over the file; examples/larder.toml shows what can stand in it.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Examples:
  larder serve
  larder serve --data /disk/a --data /disk/b --listen 0.0.0.0:7400
  larder serve --http 0.0.0.0:80 --http-read-only --access-log /var/log/larder/access.log
  larder serve --config /etc/larder.toml --check")]
pub struct Serve {
    /// The configuration, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// A data directory; give it once for each disk
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,

    /// The metadata directory; the default is `master` in the first data directory
    #[arg(long, value_name = "DIR")]
    meta: Option<PathBuf>,

    /// Where to listen; there is no authentication, so open it to networks that you trust
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,

    /// Where the HTTP origin listens
    #[arg(long, value_name = "IP:PORT", conflicts_with = "no_http")]
    http: Option<SocketAddr>,

    /// Run no HTTP origin
    #[arg(long)]
    no_http: bool,

    /// Answer 405 to what writes over HTTP, so that the origin can be opened to a CDN
    #[arg(long, conflicts_with = "no_http")]
    http_read_only: bool,

    /// Log requests over HTTP to this file; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with = "no_http")]
    access_log: Option<PathBuf>,

    /// Threads that own connections
    #[arg(long, value_name = "N")]
    processors: Option<usize>,

    /// Threads of each disk that read
    #[arg(long, value_name = "N")]
    readers_per_disk: Option<usize>,

    /// Memory for hot content, such as 1GiB; 0 is none
    #[arg(long, value_name = "SIZE")]
    cache_bytes: Option<Size>,

    /// What is logged: off, error, warn, info, debug or trace, also by module (info,larder::net=debug)
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,

    /// Check the configuration, print it as it would be used, and end
    #[arg(long)]
    check: bool,
}

impl Serve {
    pub fn run(self) -> Result<(), Failure> {
        let check = self.check;
        let configuration = self.configuration()?;
        if check {
            let text = toml::to_string(&configuration).expect("a configuration is plain fields");
            return output::print(text.as_bytes());
        }
        node::run(&configuration).map_err(|error| Failure::new(Exit::Failed, error.to_string()))
    }

    /// The file's fields, and the options over them.
    fn configuration(self) -> Result<Configuration, Failure> {
        let refused = |error: node::ConfigurationError| Failure::new(Exit::Usage, error.to_string());
        let mut configuration = Configuration::load(self.config.as_deref()).map_err(refused)?;
        if !self.data.is_empty() {
            configuration.data = self.data;
        }
        if self.meta.is_some() {
            configuration.meta = self.meta;
        }
        if let Some(listen) = self.listen {
            configuration.listen = listen;
        }
        if let Some(http) = self.http {
            configuration.http = http;
            configuration.http_enabled = true;
        }
        configuration.http_enabled &= !self.no_http;
        configuration.http_read_only |= self.http_read_only;
        if self.access_log.is_some() {
            configuration.access_log = self.access_log;
        }
        if let Some(processors) = self.processors {
            configuration.processors = processors;
        }
        if let Some(readers) = self.readers_per_disk {
            configuration.readers_per_disk = readers;
        }
        if let Some(Size(bytes)) = self.cache_bytes {
            configuration.cache_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        if let Some(log) = self.log {
            configuration.log = log;
        }
        configuration.check().map_err(refused)?;
        Ok(configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_win_over_the_file() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("larder.toml");
        std::fs::write(&file, "data = ['/disk/a', '/disk/b']\nprocessors = 3\ncache_bytes = 0").unwrap();
        let serve = Serve { config: Some(file.clone()), ..Serve::default() };
        let configuration = serve.configuration().unwrap();
        assert_eq!((configuration.data.len(), configuration.processors, configuration.cache_bytes), (2, 3, 0));
        let serve = Serve {
            config: Some(file),
            data: vec!["c".into()],
            cache_bytes: Some(Size(1 << 20)),
            log: Some("debug".to_string()),
            ..Serve::default()
        };
        let configuration = serve.configuration().unwrap();
        assert_eq!(configuration.data, [PathBuf::from("c")]);
        assert_eq!((configuration.processors, configuration.cache_bytes), (3, 1 << 20));
        assert_eq!(configuration.log, "debug");
        assert_eq!(Serve::default().configuration().unwrap(), Configuration::default());
    }

    #[test]
    fn http_by_options() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("larder.toml");
        std::fs::write(&file, "http_enabled = false\nhttp_read_only = true\naccess_log = '/a.log'").unwrap();
        let serve = || Serve { config: Some(file.clone()), ..Serve::default() };
        let configuration = serve().configuration().unwrap();
        assert_eq!((configuration.http_enabled, configuration.http_read_only), (false, true));
        assert_eq!(configuration.access_log, Some("/a.log".into()));
        let http = "[::]:80".parse().unwrap();
        let more = Serve { http: Some(http), access_log: Some("-".into()), ..serve() };
        let configuration = more.configuration().unwrap();
        assert_eq!((configuration.http, configuration.http_enabled, configuration.http_read_only), (http, true, true));
        assert_eq!(configuration.access_log, Some("-".into()));
        let none = Serve { no_http: true, ..Serve::default() }.configuration().unwrap();
        assert!(!none.http_enabled && !none.http_read_only);
        let reads = Serve { http_read_only: true, ..Serve::default() }.configuration().unwrap();
        assert!(reads.http_enabled && reads.http_read_only);
        let twice = Serve { http: Some("127.0.0.1:7400".parse().unwrap()), ..Serve::default() };
        assert!(matches!(twice.configuration().unwrap_err(), Failure::Told(Exit::Usage, _)));
    }

    #[test]
    fn wrong_options_are_a_usage_error() {
        let serve = Serve { readers_per_disk: Some(65), ..Serve::default() };
        let line = "configuration: readers_per_disk = 65 is out of bounds: want 1 to 64; the default is 4";
        assert_eq!(serve.configuration().unwrap_err(), Failure::new(Exit::Usage, line));
        let serve = Serve { config: Some("/nowhere/x.toml".into()), ..Serve::default() };
        assert!(matches!(serve.configuration().unwrap_err(), Failure::Told(Exit::Usage, _)));
    }

    #[test]
    fn what_check_prints_is_a_configuration() {
        let text = toml::to_string(&Configuration::default()).unwrap();
        assert_eq!(toml::from_str::<Configuration>(&text).unwrap(), Configuration::default());
    }
}
