#!/usr/bin/env python3
"""Banned functions and habits, each with the name of what to use instead."""
import re
import subprocess
import sys

BANNED = {
    r"\b(?:strcpy|strcat|sprintf|vsprintf|gets|strncpy|strncat)\s*\(": "a bounded buffer (src/base/buf.h, snprintf)",
    r"\b(?:atoi|atol|atoll|atof|sscanf|strtok)\s*\(": "a parser that says what is wrong",
    r"\b(?:setenv|putenv)\s*\(\s*\"TZ\"": "src/codec/tz.h",
    r"\b(?:asctime|ctime|localtime|gmtime|mktime)\s*\(": "src/base/clock.h, src/codec/tz.h",
    r"\b(?:alloca)\s*\(": "an arena",
    r"\bassert\s*\(": "HUB_ASSERT",
}
HEAP = re.compile(r"(?<![\w.>])(?:malloc|calloc|realloc|free|strdup|strndup)\s*\(")
HEAP_FILES = {"src/base/mem.c"}
WORDS = re.compile(r"\b(TODO|FIXME|HACK)\b")
PATHS = re.compile(r"/(?:work|root|home/\w+)/")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
STRING = re.compile(r'"(?:\\.|[^"\\])*"')
LINES_MAX = 800


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def main():
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True).stdout.split("\n")
    bad = []
    for path in names:
        if not path.endswith((".c", ".h", ".py", ".md", ".yaml", ".sh")) and not path.startswith("scripts/"):
            continue
        try:
            with open(path, encoding="utf-8") as f:
                text = f.read()
        except (FileNotFoundError, UnicodeDecodeError, IsADirectoryError):
            continue
        own = path == "tests/lint/habits.py"
        for number, line in enumerate(text.split("\n"), 1):
            if not own and WORDS.search(line):
                bad.append(f"{path}:{number}: unfinished work belongs into an issue")
            if not own and PATHS.search(line):
                bad.append(f"{path}:{number}: a path of one machine")
        if path.startswith("tests/") and path.endswith(".c"):
            for number, line in enumerate(COMMENT.sub(blank, text).split("\n"), 1):
                if re.search(r"(?<!\w)skip\s*\(\s*\)", line):
                    bad.append(f"{path}:{number}: use tests/needs.h: continuous integration fails on a skip")
        if not path.endswith((".c", ".h")) or not path.startswith(("src/", "adapters/")):
            continue
        if text.count("\n") > LINES_MAX:
            bad.append(f"{path}: {text.count(chr(10))} lines, look for the seam (at most {LINES_MAX})")
        code = STRING.sub(blank, COMMENT.sub(blank, text))
        raw = COMMENT.sub(blank, text)
        for number, line in enumerate(code.split("\n"), 1):
            for pattern, instead in BANNED.items():
                if '"' not in pattern and re.search(pattern, line):
                    bad.append(f"{path}:{number}: use {instead}")
            given = "libc's memory" in text.split("\n")[number - 1]  # freed as the C library demands, said beside it
            if path not in HEAP_FILES and HEAP.search(line) and not given:
                bad.append(f"{path}:{number}: the heap's door is src/base/mem.h")
        for number, line in enumerate(raw.split("\n"), 1):
            if re.search(r"\b(?:setenv|putenv)\s*\(\s*\"TZ\"", line):
                bad.append(f"{path}:{number}: use src/codec/tz.h")
            if re.search(r"hub_diag_(?:configured|token)\s*\([^)]*\.ptr", line):
                bad.append(f"{path}:{number}: a view of input must not reach the log")
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
