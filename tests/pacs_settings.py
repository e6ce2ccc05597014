"""Settings of a node that sends to an Orthanc of a test, and segments the liver."""

from tests.peers import RunningOrthanc

SEGMENT_LIVER = """
[[rules]]
name = "liver"
when = '''findings.sequence.value == "CT" && "liver" in findings.coverage.value'''
segment = ["liver"]
results_to = ["pacs"]
"""


def by_c_store(orthanc: RunningOrthanc) -> str:
    """Return the destination "pacs": that Orthanc, by C-STORE."""
    return f"""
[[destinations]]
name = "pacs"
kind = "dimse"
ae_title = "{orthanc.ae_title}"
host = "127.0.0.1"
port = {orthanc.dicom_port}
"""


def everything_to(*destinations: str) -> str:
    """Return the rule that delivers all that comes."""
    names = ", ".join(f'"{name}"' for name in destinations)
    return f"""
[[rules]]
name = "all"
when = "true"
deliver = [{names}]
"""
