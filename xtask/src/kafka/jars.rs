//! Apache Kafka itself, fetched with Maven.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;
use crate::workspace;

/// The release that tests run against.
pub(crate) const VERSION: &str = "4.3.1";
/// Kafka's logging goes through an interface whose implementation Kafka's packages leave out;
/// without one the reason for a failed start is lost. It serves brokers only: in the class path of
/// a console consumer it could write between the records.
const LOGGING: &str = "log4j-slf4j-impl";
/// The version of log4j-core among Kafka's own dependencies.
const LOGGING_VERSION: &str = "2.25.4";
const COPY_GOAL: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
const OLDEST_JAVA: u32 = 17;

/// Kafka on this machine.
pub(crate) struct Jars {
    /// The folder with Kafka and all that it depends on.
    pub(crate) libs: PathBuf,
    logging: PathBuf,
}

impl Jars {
    /// The class path of a broker.
    pub(crate) fn broker_class_path(&self) -> String {
        format!("{}/*:{}/*", self.libs.display(), self.logging.display())
    }

    /// The jar with the message schemas.
    pub(crate) fn clients(&self) -> PathBuf {
        self.libs.join(format!("kafka-clients-{VERSION}.jar"))
    }
}

/// Kafka's jars, fetched unless they are there.
pub(crate) fn fetch() -> Result<Jars, String> {
    let home = workspace::scratch()?.join("kafka").join(VERSION);
    let jars = Jars { libs: home.join("libs"), logging: home.join("logging") };
    if jars.clients().is_file() && jars.logging.is_dir() {
        return Ok(jars);
    }
    eprintln!("fetching Apache Kafka {VERSION} with Maven");
    // Two tasks may fetch at the same time: each into a folder of its own, which gets its right
    // name only when it is complete.
    let partial = home.join(format!("partial-{}", std::process::id()));
    workspace::create_folder(&partial.join("logging"))?;
    let fetched = copy_with_maven(&partial).and_then(|()| {
        let logging = format!("{LOGGING}-{LOGGING_VERSION}.jar");
        move_to(&partial.join("libs").join(&logging), &partial.join("logging").join(&logging))?;
        put_in_place(&partial.join("logging"), &jars.logging)?;
        put_in_place(&partial.join("libs"), &jars.libs)
    });
    let _ = std::fs::remove_dir_all(&partial);
    fetched.map(|()| jars)
}

fn copy_with_maven(partial: &Path) -> Result<(), String> {
    let project = partial.join("pom.xml");
    workspace::write(&project, project_file())?;
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "-Dstyle.color=never", "--file"]).arg(&project);
    // Its errors go where ours go: our standard output is for results.
    maven.arg(COPY_GOAL).stdout(std::io::stderr());
    maven.arg("-DincludeScope=runtime");
    maven.arg(format!("-DoutputDirectory={}", partial.join("libs").display()));
    let status = maven.status().map_err(|error| {
        format!("Maven is needed to fetch Apache Kafka, and `mvn` cannot be run ({error}): install it (Debian: apt-get install maven)")
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("Maven could not fetch Apache Kafka {VERSION}; its own words are above"))
    }
}

fn project_file() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "    <dependency>\n      <groupId>{group}</groupId>\n      \
             <artifactId>{artifact}</artifactId>\n      <version>{version}</version>\n    \
             </dependency>\n"
        )
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  \
         <modelVersion>4.0.0</modelVersion>\n  <groupId>ottla</groupId>\n  \
         <artifactId>kafka-for-tests</artifactId>\n  <version>1</version>\n  \
         <packaging>pom</packaging>\n  <dependencies>\n{}{}{}  </dependencies>\n</project>\n",
        dependency("org.apache.kafka", "kafka_2.13", VERSION),
        dependency("org.apache.kafka", "kafka-tools", VERSION),
        dependency("org.apache.logging.log4j", LOGGING, LOGGING_VERSION),
    )
}

fn move_to(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::rename(from, to).map_err(|error| format!("{}: {error}", from.display()))
}

/// Gives a folder its right name, unless somebody else was first with the same content.
fn put_in_place(folder: &Path, right_name: &Path) -> Result<(), String> {
    match std::fs::rename(folder, right_name) {
        Err(_) if right_name.is_dir() => Ok(()),
        result => result.map_err(|error| format!("{}: {error}", right_name.display())),
    }
}

/// The `java` to use, after a look at its version.
pub(crate) fn java() -> Result<PathBuf, String> {
    let java = match std::env::var_os("JAVA_HOME") {
        Some(home) => PathBuf::from(home).join("bin/java"),
        None => PathBuf::from("java"),
    };
    let needed = format!(
        "Apache Kafka needs Java {OLDEST_JAVA} or later (Debian: apt-get install openjdk-17-jre-headless)"
    );
    let told = process::output(Command::new(&java).arg("-version"))
        .map_err(|error| format!("{needed}: {error}"))?;
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    match major_version(&told) {
        Some(version) if version >= OLDEST_JAVA => Ok(java),
        _ => Err(format!("{needed}; {} says: {}", java.display(), told.trim())),
    }
}

/// The major version in what `java -version` prints: `openjdk version "17.0.15" 2025-04-15`.
fn major_version(told: &str) -> Option<u32> {
    let (_, version) = told.split_once("version \"")?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_java_is_found() {
        assert_eq!(major_version("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK"), Some(17));
        assert_eq!(major_version("openjdk version \"25\" 2025-09-16"), Some(25));
        assert_eq!(major_version("java version \"1.8.0_402\""), Some(1));
        assert_eq!(major_version("no such thing"), None);
    }

    #[test]
    fn the_project_for_maven_names_all_three_packages() {
        let project = project_file();
        assert_eq!(project.matches("<dependency>").count(), 3);
        assert_eq!(project.matches(&format!("<version>{VERSION}</version>")).count(), 2);
    }
}
