"""
One request from words to a branch, and what it leaves untouched.
"""

import pytest

from tests.stage import CHECK, DEMO, Stage


@pytest.mark.system
async def test_demo() -> None:
    async with Stage(DEMO / "script.json") as stage:
        shop = stage.repository()
        import time; t=time.time()
        handle = await stage.start_request("demo", shop, checks=[CHECK])
        status = await stage.delivered(handle)
        print(time.time()-t, status)
        print(stage.left_behind(), stage.processes())
        for p in sorted(stage.settings.home.rglob("*.lock")): print(p)
        await stage.stop_worker()
        print(stage.left_behind(), stage.processes())
        print(await stage.starter("list"))
