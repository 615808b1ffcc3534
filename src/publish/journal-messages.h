/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One MESSAGE_ID an event kind; catalog/healthd.catalog explains each to `journalctl -x`. */

#define MESSAGE_CHECK_UNHEALTHY       "8b07e578b39b4610b46c8d3a3b37bc58"
#define MESSAGE_CHECK_DEGRADED        "50d4dd0487404db88ff22c2ba1c61376"
#define MESSAGE_CHECK_HEALTHY         "32f4f114b4214ea4869a24c1c399c259"
#define MESSAGE_CHECK_ERROR           "e17e44a13fc046a781378b3d00572031"
#define MESSAGE_STARTED               "49476084b6b748e78eaa5bd739fc423f"
#define MESSAGE_READY                 "7c4ce0a5e2c64d5f8a7ad7f4ba5a2d16"
#define MESSAGE_STOPPED               "807aabea85754bb7bf60dd14c75e21dd"
#define MESSAGE_RELOADED              "5d040eb9c75a4396be35b5c5083ed398"
#define MESSAGE_RELOAD_REFUSED        "d3a943f1912945d9ad99c6e0c7e55990"
#define MESSAGE_CONFIGURATION_PROBLEM "faea182a2a6b495ebc3cf67170c0e6f0"
#define MESSAGE_WATCHDOG_WITHHELD     "e5222abf46e44f78bdd2b02202756be8"
#define MESSAGE_WATCHDOG_RESUMED      "1f2bc15dcf48469b9ce700c393835cdb"
#define MESSAGE_JOURNAL_DROPPED       "54250166230f4879b4621ffcff744ecb"
#define MESSAGE_LISTENER_PAUSED       "f3857463f8bb4f53bde67f1dfa684b70"
