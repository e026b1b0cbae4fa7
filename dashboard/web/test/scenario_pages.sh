#!/bin/sh
# shellcheck disable=SC1091 # the library is beside
# The dashboard's pages in a real browser, with real records.
. dashboard/web/test/scenario-browser.sh

browse format.test.js pages.test.js
finish
