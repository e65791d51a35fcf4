//! Test reports in JUnit XML.

use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

use super::suite::{SuiteReport, TestReport};

impl SuiteReport {
    /// Returns the report as JUnit XML, for continuous integration.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        // Writing to memory does not fail.
        let written = write_suite(&mut writer, self);
        let bytes = written.map(|()| writer.into_inner()).unwrap_or_default();
        let body = String::from_utf8(bytes).unwrap_or_default();
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}\n")
    }
}

fn write_suite(writer: &mut Writer<Vec<u8>>, report: &SuiteReport) -> std::io::Result<()> {
    let tests = report.tests.len().to_string();
    let failures = report.failed.to_string();
    let mut suite = BytesStart::new("testsuite");
    suite.push_attribute(("name", &*xml_text(&report.file)));
    suite.push_attribute(("tests", &*tests));
    suite.push_attribute(("failures", &*failures));
    suite.push_attribute(("errors", "0"));
    writer.write_event(Event::Start(BytesStart::new("testsuites")))?;
    writer.write_event(Event::Start(suite))?;
    for test in &report.tests {
        write_case(writer, &report.file, test)?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuite")))?;
    writer.write_event(Event::End(BytesEnd::new("testsuites")))
}

fn write_case(writer: &mut Writer<Vec<u8>>, file: &str, test: &TestReport) -> std::io::Result<()> {
    let line = test.line.to_string();
    let mut case = BytesStart::new("testcase");
    case.push_attribute(("classname", &*xml_text(file)));
    case.push_attribute(("name", &*xml_text(&test.name)));
    case.push_attribute(("file", &*xml_text(file)));
    case.push_attribute(("line", &*line));
    if test.passed {
        return writer.write_event(Event::Empty(case));
    }
    let differences: Vec<String> = test.differences.iter().map(ToString::to_string).collect();
    let mut failure = BytesStart::new("failure");
    failure.push_attribute(("message", &*xml_text(&differences.join("; "))));
    writer.write_event(Event::Start(case))?;
    writer.write_event(Event::Start(failure))?;
    writer.write_event(Event::Text(BytesText::new(&xml_text(&test.details()))))?;
    writer.write_event(Event::End(BytesEnd::new("failure")))?;
    writer.write_event(Event::End(BytesEnd::new("testcase")))
}

/// Replaces the characters that XML 1.0 forbids even when escaped.
fn xml_text(text: &str) -> String {
    let may_stand = |c: char| matches!(c, '\t' | '\n') || !c.is_control() && c < '\u{fffe}';
    text.chars().map(|c| if may_stand(c) { c } else { '\u{fffd}' }).collect()
}
