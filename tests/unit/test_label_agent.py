"""What is left of a line once the negations of its agent are settled, word by word."""

import pytest

from radnet.labels.agent import settled


@pytest.mark.parametrize(
    ("line", "left"),
    [
        # before the agent, over the words of its phrase and no further
        ("abdomen without contrast liver", "abdomen unenhanced liver"),
        ("abdomen with contrast liver", "abdomen with contrast liver"),
        ("abdomen without iv contrast medium liver", "abdomen unenhanced medium liver"),
        ("chest with no contrast liver", "chest unenhanced liver"),
        ("before contrast", "unenhanced"),
        ("abdomen without mip contrast", "abdomen without mip contrast"),
        # words that are the agent only after a negation
        ("abdomen without con liver", "abdomen unenhanced liver"),
        ("abdomen with con liver", "abdomen with con liver"),
        ("abdomen iv con liver", "abdomen iv con liver"),
        # after the agent
        ("chest contrast none", "chest unenhanced"),
        ("chest contrast no", "chest unenhanced"),
        ("chest km nein thorax", "chest unenhanced thorax"),
        ("chest contrast n", "chest unenhanced"),
        ("contrast 0 ml chest", "unenhanced chest"),
        ("contrast 0 ml", "unenhanced"),
        ("contrast 10 ml chest", "contrast 10 ml chest"),
        ("contrast no 5 mm", "unenhanced 5 mm"),
        ("chest no contrast nein liver", "chest unenhanced liver"),
        ("contrast no fat sat", "contrast"),
        # two readings
        ("no contrast no abdomen", "unenhanced no abdomen"),
        ("with contrast liver with contrast pelvis", "with contrast liver with contrast pelvis"),
        ("without contrast liver without contrast pelvis", "unenhanced liver unenhanced pelvis"),
        # of the gut: left out, with its negation
        ("abdomen oral contrast liver", "abdomen liver"),
        ("abdomen no oral contrast liver", "abdomen liver"),
        ("abdomen with water liver", "abdomen liver"),
        ("abdomen no oral or iv contrast liver", "abdomen unenhanced liver"),
        ("abdomen no oral or contrast liver", "abdomen unenhanced liver"),
        ("abdomen oral iv contrast liver", "abdomen oral iv contrast liver"),
        ("abdomen oral or iv liver", "abdomen oral or iv liver"),
        ("abdomen oral and rectal contrast liver", "abdomen liver"),
        ("abdomen oral medium contrast liver", "abdomen liver"),
        ("abdomen no rectal administered contrast liver", "abdomen liver"),
        ("abdomen with oral and iv contrast liver", "abdomen with oral and iv contrast liver"),
        # something else
        ("chest contrast enema liver", "chest liver"),
        ("chest without contrast enema liver", "chest liver"),
        ("chest without fat sat liver", "chest liver"),
        ("chest without arterial phase liver", "chest liver"),
        ("chest with thin liver", "chest liver"),
        ("chest with arterial liver", "chest with arterial liver"),
        ("gad post liver", "gad post liver"),
        ("contrast pre arterial", "contrast pre arterial"),
        ("pre and post contrast liver", "pre and post contrast liver"),
        # a negation alone
        ("chest ohne", "chest unenhanced"),
        ("chest ohne 5mm", "chest unenhanced 5mm"),
        ("chest ohne liver", "chest ohne liver"),
        ("chest without", "chest without"),
        ("noncon chest", "unenhanced chest"),
        ("chest", "chest"),
        ("", ""),
    ],
)
def test_a_negated_agent_is_one_word_and_all_others_stay(line: str, left: str) -> None:
    """No word before or behind the phrase is taken along, and none of it is left over."""
    assert settled(line, "CT") == left


@pytest.mark.parametrize(
    "line",
    [
        "chest km ohne thorax",
        "contrast no abdomen",
        "chest without with contrast",
        "with and without contrast",
        "with contrast and without contrast abdomen",
        "without contrast liver with contrast pelvis",
        "with con liver without contrast pelvis",
        "abdomen no oral and iv contrast liver",
        "dash contrast",
        "contrast n abdomen",
        "bez i ze kontrastem brzuch",
        "with contrast none",
    ],
)
def test_what_says_both_or_cannot_be_told_says_nothing(line: str) -> None:
    """Silence is better than a guess."""
    assert settled(line, "CT") is None


@pytest.mark.parametrize(
    ("line", "ct", "mr"),
    [
        ("water abdomen", "abdomen", "water abdomen"),
        ("sense contrast", "unenhanced", "sense contrast"),
        ("without water contrast liver", "liver", "contrast liver"),
    ],
)
def test_in_mr_sense_and_water_are_no_words_of_the_agent(line: str, ct: str, mr: str) -> None:
    """A technique of Philips, and what is seen beside fat."""
    assert (settled(line, "CT"), settled(line, "MR")) == (ct, mr)
