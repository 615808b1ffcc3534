# SPDX-License-Identifier: LGPL-2.1-or-later
"""A health service as tutorials have it: FastAPI, and checks that run when somebody asks.

Which checks, the environment says: CHECKS="database*3 redis application_metrics". What they ask is
in DATABASE, REDIS and API (URLs). Every check connects anew, and they run one after the other.
"""

import asyncio
import os
import time

import aiohttp
import asyncpg
import psutil
import redis.asyncio
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse

CPU_LIMIT, MEMORY_LIMIT, DISK_LIMIT, TASKS_LIMIT = 80, 85, 90, 100


async def check_database():
    connection = await asyncpg.connect(os.environ["DATABASE"], timeout=5)
    try:
        return {"connected": True, "query_result": await connection.fetchval("SELECT 1")}
    finally:
        await connection.close()


async def check_redis():
    client = redis.asyncio.from_url(os.environ["REDIS"])
    try:
        return {"connected": True, "ping": await client.ping()}
    finally:
        await client.close()


async def check_external_api():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        async with session.get(os.environ["API"]) as response:
            return {"available": response.status == 200, "status_code": response.status}


async def check_system_resources():
    """Since the look before: to wait for a second here, as some do, would stop everything."""
    cpu = psutil.cpu_percent(interval=None)
    memory, disk = psutil.virtual_memory().percent, psutil.disk_usage("/").percent
    return {"cpu_percent": cpu, "memory_percent": memory, "disk_percent": disk,
            "healthy": cpu < CPU_LIMIT and memory < MEMORY_LIMIT and disk < DISK_LIMIT}


async def check_application_metrics():
    tasks = len(asyncio.all_tasks())
    return {"active_tasks": tasks, "healthy": tasks < TASKS_LIMIT}


AVAILABLE = {function.__name__.removeprefix("check_"): function for function in (
    check_database, check_redis, check_external_api, check_system_resources,
    check_application_metrics)}


class HealthChecker:
    """Checks by name, and what they say together."""

    def __init__(self, wanted):
        self.started = time.time()
        self.checks = {}
        for word in wanted.split():
            name, _, count = word.partition("*")
            for i in range(int(count or 1)):
                self.checks[f"{name}-{i}" if count else name] = AVAILABLE[name]

    @staticmethod
    async def run(function):
        """A limit that is exceeded makes a check unhealthy; an exception is an error."""
        try:
            details = await function()
        except Exception as error:  # whatever a client library raises
            return {"status": "error", "error": str(error)}
        well = all(details.get(word, True) for word in ("connected", "available", "healthy"))
        return {"status": "healthy" if well else "unhealthy", "details": details}

    async def run_all(self):
        results = {name: await self.run(function) for name, function in self.checks.items()}
        well = all(result["status"] == "healthy" for result in results.values())
        return {"status": "healthy" if well else "unhealthy", "timestamp": time.time(),
                "uptime": time.time() - self.started, "checks": results}


app = FastAPI()
checker = HealthChecker(os.environ.get("CHECKS", "application_metrics"))


@app.get("/health")
async def health():
    results = await checker.run_all()
    return JSONResponse(results, 200 if results["status"] == "healthy" else 503)


@app.get("/health/live")
async def live():
    return {"status": "alive", "timestamp": time.time()}


@app.get("/health/ready")
async def ready():
    if (await checker.run_all())["status"] != "healthy":
        raise HTTPException(status_code=503, detail="Service not ready")
    return {"status": "ready", "timestamp": time.time()}
