"""What ccxt and pybit can do against `lastorders exchange`, changed in nothing but the address.

Called by ccxt_smoke.sh with the exchange's ready file and its ledger. Prints a table; exit code 0 only if all holds.
"""

import asyncio
import faulthandler
import importlib.metadata
import json
import logging
import queue
import sys
import time
import traceback
import urllib.request
import uuid

import ccxt
import ccxt.pro
import pybit.unified_trading as bybit

KEY, SECRET = "smoke-key", "smoke-secret"
PATIENCE_S = 20
# pybit logs every limit it meets; the table says it.
logging.getLogger("pybit").setLevel(logging.CRITICAL)

with open(sys.argv[1]) as file:
    READY = json.load(file)
LEDGER = sys.argv[2]
REST = "http://" + READY["listen"]
WS = "ws://" + READY["listen"]
ROWS = []
# Whatever a library waits for without end: after this it is shown where, and the exit code is 1.
faulthandler.dump_traceback_later(600, exit=True)

print(f"ccxt {ccxt.__version__}, pybit {importlib.metadata.version('pybit')}, exchange at {READY['listen']}\n", flush=True)


def check(library, what):
    """Runs the function as one line of the table."""

    def run(function):
        began, held = time.monotonic(), True
        try:
            said = function() or ""
        except Exception as error:  # any failure is a line of the table
            where = traceback.extract_tb(error.__traceback__)[-1]
            said, held = f"{type(error).__name__}: {error} (line {where.lineno} of {where.name})", False
        ROWS.append(held)
        took_s = time.monotonic() - began
        print(f"{'ok    ' if held else 'FAILED'}  {library:9} {what:52} {took_s:5.1f} s  {said}", flush=True)
        return function

    return run


def eventually(what, look):
    """The first true value of look()."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def name(prefix):
    return prefix + "-" + uuid.uuid4().hex[:12]


def new_address(value):
    """The library's own table of addresses with ours in it."""
    if isinstance(value, dict):
        return {key: new_address(inner) for key, inner in value.items()}
    if isinstance(value, str):
        return value.replace("https://api.{hostname}", REST).replace("wss://stream.{hostname}", WS)
    return value


def ledger():
    with open(LEDGER) as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


def admin(command):
    request = urllib.request.Request("http://" + READY["admin"] + "/command", json.dumps(command).encode())
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


def took_place(kind, link_id):
    return [line for line in ledger() if line["kind"] == kind and line.get("client_id") == link_id]


# ---- pybit: HTTP ----------------------------------------------------------------------------------------------------

http = bybit.HTTP(api_key=KEY, api_secret=SECRET)
http.endpoint = REST


def open_ids(category, **scope):
    rows = http.get_open_orders(category=category, limit=50, **scope)["result"]["list"]
    return {row["orderLinkId"] for row in rows}


def middle(category, symbol):
    row = http.get_tickers(category=category, symbol=symbol)["result"]["list"][0]
    return (float(row["bid1Price"]) + float(row["ask1Price"])) / 2


def far_below(category, symbol, step=0):
    """A price at which an order rests, far from the market."""
    return str(int(middle(category, symbol) * 0.7) - step)


def far_above(category, symbol):
    """A price that takes."""
    return str(int(middle(category, symbol) * 1.02))


@check("pybit", "server time")
def _():
    answer = http.get_server_time()
    assert abs(int(answer["result"]["timeSecond"]) - time.time()) < 5, answer
    assert answer["retCode"] == 0


@check("pybit", "instruments, both categories")
def _():
    for category, symbol in (("spot", "BTCUSDT"), ("linear", "BTCUSDT")):
        row = http.get_instruments_info(category=category, symbol=symbol)["result"]["list"][0]
        assert row["symbol"] == symbol and row["status"] == "Trading", row
        assert float(row["priceFilter"]["tickSize"]) > 0
    linear = http.get_instruments_info(category="linear")["result"]["list"]
    assert {"BTCUSDT", "ETHUSDT"} <= {row["symbol"] for row in linear}


@check("pybit", "order book and tickers")
def _():
    book = http.get_orderbook(category="linear", symbol="BTCUSDT", limit=25)["result"]
    assert float(book["b"][0][0]) < float(book["a"][0][0]), book
    return f"middle {middle('spot', 'BTCUSDT'):.1f}"


for CATEGORY in ("linear", "spot"):

    @check("pybit", f"{CATEGORY}: place, list, cancel, history")
    def _(category=CATEGORY):
        link = name("one")
        placed = http.place_order(category=category, symbol="BTCUSDT", side="Buy", orderType="Limit", qty="0.01",
                                  price=far_below(category, "BTCUSDT"), timeInForce="GTC", orderLinkId=link)
        assert placed["result"]["orderLinkId"] == link and placed["result"]["orderId"], placed
        eventually("the order in the listing", lambda: link in open_ids(category, symbol="BTCUSDT"))
        row = http.get_open_orders(category=category, symbol="BTCUSDT", orderLinkId=link)["result"]["list"][0]
        assert row["orderStatus"] == "New" and row["side"] == "Buy" and float(row["qty"]) == 0.01, row
        gone = http.cancel_order(category=category, symbol="BTCUSDT", orderLinkId=link)
        assert gone["result"]["orderId"] == placed["result"]["orderId"], gone
        eventually("its end", lambda: link not in open_ids(category, symbol="BTCUSDT"))

        def history():
            return http.get_order_history(category=category, orderLinkId=link)["result"]["list"]

        row = eventually("the history", history)[0]
        assert row["orderStatus"] == "Cancelled", row
        assert took_place("closed", link)[0]["reason"] == "cancelled"

    @check("pybit", f"{CATEGORY}: batch place, batch cancel")
    def _(category=CATEGORY):
        links = [name("batch") for _ in range(5)]
        orders = [dict(symbol="BTCUSDT", side="Buy", orderType="Limit", qty="0.01", timeInForce="PostOnly",
                       price=far_below(category, "BTCUSDT", step), orderLinkId=link)
                  for step, link in enumerate(links)]
        placed = http.place_batch_order(category=category, request=orders)
        assert [row["orderLinkId"] for row in placed["result"]["list"]] == links, placed
        assert all(leg["code"] == 0 for leg in placed["retExtInfo"]["list"]), placed
        eventually("the batch in the listing", lambda: set(links) <= open_ids(category, symbol="BTCUSDT"))
        named = [dict(symbol="BTCUSDT", orderLinkId=link) for link in links]
        named.append(dict(symbol="BTCUSDT", orderLinkId="never-placed"))
        gone = http.cancel_batch_order(category=category, request=named)
        codes = [leg["code"] for leg in gone["retExtInfo"]["list"]]
        assert codes[:5] == [0] * 5 and codes[5] in (110001, 170213), gone
        eventually("the end of the batch", lambda: not set(links) & open_ids(category, symbol="BTCUSDT"))

    @check("pybit", f"{CATEGORY}: cancel all")
    def _(category=CATEGORY):
        links = [name("all") for _ in range(4)]
        for step, link in enumerate(links):
            http.place_order(category=category, symbol="BTCUSDT", side="Buy", orderType="Limit", qty="0.01",
                             price=far_below(category, "BTCUSDT", step), orderLinkId=link)
        eventually("the orders", lambda: set(links) <= open_ids(category, symbol="BTCUSDT"))
        gone = http.cancel_all_orders(category=category, symbol="BTCUSDT")
        assert gone["retCode"] == 0, gone
        eventually("their end", lambda: not open_ids(category, symbol="BTCUSDT"))
        return f"{len(gone['result'].get('list', []))} listed"

    @check("pybit", f"{CATEGORY}: a fill, and the executions show it")
    def _(category=CATEGORY):
        link = name("fill")
        http.place_order(category=category, symbol="BTCUSDT", side="Buy", orderType="Limit", qty="0.002",
                         price=far_above(category, "BTCUSDT"), timeInForce="IOC", orderLinkId=link)

        def fills():
            return http.get_executions(category=category, symbol="BTCUSDT", orderLinkId=link)["result"]["list"]

        rows = eventually("an execution", fills)
        lines = took_place("fill", link)
        assert {row["execId"] for row in rows} <= {line["trade_id"] for line in lines} or len(rows) == len(lines), rows
        assert all(row["execType"] == "Trade" and row["isMaker"] is False for row in rows), rows
        return f"{sum(float(row['execQty']) for row in rows):g} at {rows[0]['execPrice']}"


@check("pybit", "listing by settle coin, page after page")
def _():
    links = {name("page") for _ in range(7)}
    for step, link in enumerate(links):
        http.place_order(category="linear", symbol="ETHUSDT", side="Buy", orderType="Limit", qty="0.1",
                         price=far_below("linear", "ETHUSDT", step), orderLinkId=link)
    eventually("the orders", lambda: links <= open_ids("linear", settleCoin="USDT"))
    seen, cursor, pages = set(), "", 0
    while True:
        scope = dict(cursor=cursor) if cursor else {}
        result = http.get_open_orders(category="linear", settleCoin="USDT", limit=3, **scope)["result"]
        seen |= {row["orderLinkId"] for row in result["list"]}
        pages += 1
        if len(result["list"]) < 3 or result["nextPageCursor"] in ("", cursor):
            break
        cursor = result["nextPageCursor"]
        assert pages < 20, "the paging does not end"
    assert links <= seen, (links, seen)
    http.cancel_all_orders(category="linear", settleCoin="USDT")
    eventually("their end", lambda: not open_ids("linear", settleCoin="USDT"))
    return f"{pages} pages"


@check("pybit", "rate limit: told, obeyed, nothing lost")
def _():
    links = {name("fast") for _ in range(25)}
    for step, link in enumerate(links):
        wanted = dict(category="spot", symbol="BTCUSDT", side="Buy", orderType="Limit", qty="0.001",
                      price=far_below("spot", "BTCUSDT", step), orderLinkId=link)
        try:
            http.place_order(**wanted)
        except ValueError:
            # pybit sleeps until the time in the header, and does not expect it to have passed while it was reading.
            # What met the limit was not carried out, so the same order may be sent again.
            http.place_order(**wanted)
    shown = open_ids("spot", symbol="BTCUSDT")
    http.cancel_all_orders(category="spot", symbol="BTCUSDT")
    eventually("their end", lambda: not open_ids("spot", symbol="BTCUSDT"))
    assert links <= shown, links - shown
    times = [line["t_ms"] for link in links for line in took_place("accepted", link)]
    busiest = max(sum(begin <= other < begin + 1000 for other in times) for begin in times)
    assert len(times) == 25 and busiest <= 20, (len(times), busiest)
    return f"at most {busiest} in a second"


@check("pybit", "amend")
def _():
    link = name("amend")
    http.place_order(category="linear", symbol="BTCUSDT", side="Buy", orderType="Limit", qty="0.01",
                     price=far_below("linear", "BTCUSDT"), orderLinkId=link)
    http.amend_order(category="linear", symbol="BTCUSDT", orderLinkId=link, qty="0.02")

    def amended():
        rows = http.get_open_orders(category="linear", symbol="BTCUSDT", orderLinkId=link)["result"]["list"]
        return rows and float(rows[0]["qty"]) == 0.02

    eventually("the new amount", amended)
    http.cancel_order(category="linear", symbol="BTCUSDT", orderLinkId=link)


@check("pybit", "dead man's switch: only for an account that has it")
def _():
    from pybit.exceptions import InvalidRequestError

    chosen = bybit.HTTP(api_key="switch-key", api_secret=SECRET)
    chosen.endpoint = REST
    chosen.set_dcp(product="DERIVATIVES", timeWindow=40)

    def infos_now():
        # pybit can set it and has no word for reading it.
        answer = chosen._submit_request(method="GET", path=REST + "/v5/account/query-dcp-info", query={}, auth=True)
        return answer["result"]["dcpInfos"]

    infos = eventually("the switch", infos_now)
    shown = {info["product"]: info["timeWindow"] for info in infos}
    assert shown.get("DERIVATIVES") == "40", infos
    try:
        http.set_dcp(product="DERIVATIVES", timeWindow=40)
    except InvalidRequestError as error:
        return f"else refused with {error.status_code}"
    raise AssertionError("it was taken from an account that has none")


@check("pybit", "balance and positions")
def _():
    account = http.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]
    coins = {row["coin"]: float(row["walletBalance"]) for row in account["coin"]}
    assert coins["USDT"] > 0 and coins["BTC"] > 100, coins
    rows = http.get_positions(category="linear", symbol="BTCUSDT")["result"]["list"]
    assert rows[0]["side"] == "Buy" and float(rows[0]["size"]) == 0.002, rows
    return f"{coins['USDT']:.2f} USDT"


@check("pybit", "wrong key, wrong signature, bad parameter")
def _():
    from pybit.exceptions import InvalidRequestError

    def code(session, **words):
        session.endpoint = REST
        try:
            session.get_open_orders(**words)
        except InvalidRequestError as error:
            return error.status_code
        except Exception as error:  # pybit raises its own kind for a lost permission
            return getattr(error, "status_code", str(error))
        return 0

    wanted = dict(category="linear", symbol="BTCUSDT")
    wrong_key = code(bybit.HTTP(api_key="nobody", api_secret=SECRET), **wanted)
    wrong_secret = code(bybit.HTTP(api_key=KEY, api_secret="wrong"), **wanted)
    no_scope = code(bybit.HTTP(api_key=KEY, api_secret=SECRET), category="linear")
    assert (wrong_key, wrong_secret, no_scope) == (10003, 10004, 10001), (wrong_key, wrong_secret, no_scope)


# ---- pybit: WebSocket -----------------------------------------------------------------------------------------------

bybit.PRIVATE_WSS = WS + "/v5/private"
bybit._V5TradeWebSocketManager.__init__.__globals__["TRADE_WSS"] = WS + "/v5/trade"
bybit.PUBLIC_WSS = WS + "/v5/public/{CHANNEL_TYPE}"


class Stream:
    """Rows of one topic, to be waited for."""

    def __init__(self, socket, topic):
        self.rows = queue.Queue()
        getattr(socket, topic)(callback=lambda frame: [self.rows.put(row) for row in frame["data"]])

    def wait(self, what, fits):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            left = deadline - time.monotonic()
            assert left > 0, f"waited in vain for {what}"
            try:
                row = self.rows.get(timeout=left)
            except queue.Empty:
                continue
            if fits(row):
                return row


@check("pybit", "private stream: order and execution pushes")
def _():
    socket = bybit.WebSocket(channel_type="private", testnet=False, api_key=KEY, api_secret=SECRET,
                             private_auth_expire=5)
    orders, fills = Stream(socket, "order_stream"), Stream(socket, "execution_stream")
    time.sleep(0.5)  # pybit has no word for "subscribed"
    link = name("push")
    http.place_order(category="linear", symbol="BTCUSDT", side="Buy", orderType="Limit", qty="0.01",
                     price=far_below("linear", "BTCUSDT"), orderLinkId=link)
    row = orders.wait("the order", lambda row: row["orderLinkId"] == link)
    assert row["orderStatus"] == "New" and row["category"] == "linear", row
    http.cancel_order(category="linear", symbol="BTCUSDT", orderLinkId=link)
    row = orders.wait("its end", lambda row: row["orderLinkId"] == link and row["orderStatus"] != "New")
    assert row["orderStatus"] == "Cancelled" and row["cancelType"] == "CancelByUser", row
    link = name("take")
    http.place_order(category="spot", symbol="BTCUSDT", side="Sell", orderType="Limit", qty="0.001",
                     price=str(int(middle("spot", "BTCUSDT") * 0.98)), timeInForce="IOC", orderLinkId=link)
    row = fills.wait("the fill", lambda row: row["orderLinkId"] == link)
    assert row["category"] == "spot" and row["side"] == "Sell" and float(row["execQty"]) > 0, row
    orders.wait("filled", lambda row: row["orderLinkId"] == link and row["orderStatus"] == "Filled")
    socket.exit()


@check("pybit", "private stream: after a cut it comes back by itself")
def _():
    socket = bybit.WebSocket(channel_type="private", testnet=False, api_key=KEY, api_secret=SECRET,
                             private_auth_expire=5)
    orders = Stream(socket, "order_stream")
    time.sleep(0.5)
    cut = admin({"command": "drop_sockets", "scope": "private"})["sockets"]
    # One that has just ended may still be counted.
    assert cut >= 1, f"{cut} sockets were cut"
    time.sleep(1.5)
    link = name("again")
    http.place_order(category="linear", symbol="BTCUSDT", side="Buy", orderType="Limit", qty="0.01",
                     price=far_below("linear", "BTCUSDT"), orderLinkId=link)
    orders.wait("the order", lambda row: row["orderLinkId"] == link)
    http.cancel_order(category="linear", symbol="BTCUSDT", orderLinkId=link)
    orders.wait("its end", lambda row: row["orderLinkId"] == link and row["orderStatus"] == "Cancelled")
    socket.exit()


@check("pybit", "trading socket: place, cancel, a refusal")
def _():
    socket = bybit.WebSocketTrading(testnet=False, api_key=KEY, api_secret=SECRET, private_auth_expire=5)
    eventually("the login", lambda: socket.auth)
    answers, refusals = queue.Queue(), queue.Queue()
    link = name("socket")
    socket.place_order(answers.put, refusals.put, category="linear", symbol="BTCUSDT", side="Buy", orderType="Limit",
                       qty="0.01", price=far_below("linear", "BTCUSDT"), orderLinkId=link)
    placed = answers.get(timeout=PATIENCE_S)
    assert placed["retCode"] == 0 and placed["data"]["orderLinkId"] == link, placed
    eventually("the order", lambda: link in open_ids("linear", symbol="BTCUSDT"))
    socket.cancel_order(answers.put, refusals.put, category="linear", symbol="BTCUSDT", orderLinkId=link)
    assert answers.get(timeout=PATIENCE_S)["retCode"] == 0
    socket.cancel_order(answers.put, refusals.put, category="linear", symbol="BTCUSDT", orderLinkId="never-placed")
    assert refusals.get(timeout=PATIENCE_S)["retCode"] == 110001
    eventually("its end", lambda: link not in open_ids("linear", symbol="BTCUSDT"))
    socket.exit()


@check("pybit", "public stream: order book and trades")
def _():
    for channel in ("linear", "spot"):
        socket = bybit.WebSocket(channel_type=channel, testnet=False)
        books, trades = queue.Queue(), queue.Queue()
        # pybit keeps the book itself and hands out the whole of it.
        socket.orderbook_stream(depth=50, symbol="BTCUSDT", callback=books.put)
        socket.trade_stream(symbol="BTCUSDT", callback=trades.put)
        for _ in range(5):
            book = books.get(timeout=PATIENCE_S)["data"]
            bids, asks = [float(row[0]) for row in book["b"]], [float(row[0]) for row in book["a"]]
            assert max(bids) < min(asks), book
        trade = trades.get(timeout=PATIENCE_S)["data"][0]
        assert float(trade["p"]) > 0 and trade["S"] in ("Buy", "Sell"), trade
        socket.exit()


# ---- ccxt -----------------------------------------------------------------------------------------------------------

SPOT, SWAP = "BTC/USDT", "BTC/USDT:USDT"
exchange = ccxt.bybit({"apiKey": KEY, "secret": SECRET})
exchange.urls["api"] = new_address(exchange.urls["api"])


@check("ccxt", "markets, time, order book, ticker")
def _():
    exchange.load_markets()
    assert exchange.market(SPOT)["spot"] and exchange.market(SWAP)["linear"]
    assert abs(exchange.fetch_time() / 1000 - time.time()) < 5
    book = exchange.fetch_order_book(SWAP)
    assert book["bids"][0][0] < book["asks"][0][0]
    ticker = exchange.fetch_ticker(SPOT)
    assert ticker["bid"] < ticker["ask"], ticker
    return f"{len(exchange.markets)} markets"


def ccxt_open(symbol):
    return {order["clientOrderId"] for order in exchange.fetch_open_orders(symbol)}


def below(symbol, step=0):
    return int(exchange.fetch_ticker(symbol)["bid"] * 0.7) - step


for SYMBOL in (SWAP, SPOT):

    @check("ccxt", f"{SYMBOL}: place, list, cancel")
    def _(symbol=SYMBOL):
        link = name("ccxt")
        placed = exchange.create_order(symbol, "limit", "buy", 0.01, below(symbol), {"clientOrderId": link})
        eventually("the order", lambda: link in ccxt_open(symbol))
        order = exchange.fetch_open_order(placed["id"], symbol)
        assert order["status"] == "open" and order["amount"] == 0.01 and order["filled"] == 0, order
        exchange.cancel_order(placed["id"], symbol)
        eventually("its end", lambda: link not in ccxt_open(symbol))

        def ended():
            return [order for order in exchange.fetch_canceled_orders(symbol) if order["id"] == placed["id"]]

        assert eventually("the canceled order", ended)[0]["status"] == "canceled"

    @check("ccxt", f"{SYMBOL}: batch place, batch cancel, cancel all")
    def _(symbol=SYMBOL):
        def orders(links):
            return [dict(symbol=symbol, type="limit", side="buy", amount=0.01, price=below(symbol, step),
                         params={"clientOrderId": link}) for step, link in enumerate(links)]

        links = [name("many") for _ in range(3)]
        placed = exchange.create_orders(orders(links))
        eventually("the orders", lambda: set(links) <= ccxt_open(symbol))
        exchange.cancel_orders([order["id"] for order in placed], symbol)
        eventually("their end", lambda: not set(links) & ccxt_open(symbol))
        links = [name("rest") for _ in range(3)]
        exchange.create_orders(orders(links))
        eventually("the orders", lambda: set(links) <= ccxt_open(symbol))
        exchange.cancel_all_orders(symbol)
        eventually("their end", lambda: not ccxt_open(symbol))

    @check("ccxt", f"{SYMBOL}: a fill, and the trades show it")
    def _(symbol=SYMBOL):
        price = int(exchange.fetch_ticker(symbol)["ask"] * 1.02)
        placed = exchange.create_order(symbol, "limit", "buy", 0.002, price, {"timeInForce": "IOC"})

        def trades():
            return [trade for trade in exchange.fetch_my_trades(symbol) if trade["order"] == placed["id"]]

        rows = eventually("a trade", trades)
        assert all(row["side"] == "buy" and row["takerOrMaker"] == "taker" for row in rows), rows
        return f"{sum(row['amount'] for row in rows):g} at {rows[0]['price']}"


@check("ccxt", "balance and positions")
def _():
    balance = exchange.fetch_balance()
    assert balance["USDT"]["total"] > 0 and balance["BTC"]["total"] > 0, balance
    positions = [row for row in exchange.fetch_positions([SWAP]) if row["contracts"]]
    assert positions and positions[0]["side"] == "long", positions
    return f"{positions[0]['contracts']:g} contracts"


@check("ccxt", "refusals have their own kinds")
def _():
    for kind, call in (
        (ccxt.OrderNotFound, lambda: exchange.cancel_order("never-placed", SWAP)),
        (ccxt.InsufficientFunds, lambda: exchange.create_order(SPOT, "limit", "buy", 900, below(SPOT))),
    ):
        try:
            call()
        except kind:
            continue
        raise AssertionError(f"no {kind.__name__}")


async def pro():
    stream = ccxt.pro.bybit({"apiKey": KEY, "secret": SECRET})
    stream.urls["api"] = new_address(stream.urls["api"])
    try:
        await stream.load_markets()
        book = await asyncio.wait_for(stream.watch_order_book(SWAP), PATIENCE_S)
        assert book["bids"][0][0] < book["asks"][0][0]
        orders = asyncio.ensure_future(stream.watch_orders())
        trades = asyncio.ensure_future(stream.watch_my_trades())
        await asyncio.sleep(0.5)
        price = int(book["asks"][0][0] * 1.02)
        placed = await stream.create_order(SWAP, "limit", "buy", 0.002, price, {"timeInForce": "IOC"})
        seen = set()
        deadline = time.monotonic() + PATIENCE_S
        while "closed" not in seen:
            assert time.monotonic() < deadline, f"waited in vain for its end, saw {seen}"
            for order in await asyncio.wait_for(orders, PATIENCE_S):
                if order["id"] == placed["id"]:
                    seen.add(order["status"])
            orders = asyncio.ensure_future(stream.watch_orders())
        rows = await asyncio.wait_for(trades, PATIENCE_S)
        assert any(row["order"] == placed["id"] for row in rows), rows
        orders.cancel()
        return f"saw {', '.join(sorted(seen))}"
    finally:
        await stream.close()


@check("ccxt.pro", "order book, order and trade pushes")
def _():
    return asyncio.run(pro())


# ---- the exchange itself --------------------------------------------------------------------------------------------


@check("exchange", "nothing is left, by the admin port and by the ledger")
def _():
    with urllib.request.urlopen("http://" + READY["admin"] + "/orders", timeout=PATIENCE_S) as answer:
        shown = json.load(answer)
    assert not any(account["orders"] for account in shown["accounts"]), shown
    lines = ledger()
    accepted = {line["client_id"] for line in lines if line["kind"] == "accepted"}
    ended = {line["client_id"] for line in lines if line["kind"] == "closed"}
    assert accepted == ended, accepted ^ ended
    return f"{len(accepted)} orders, {sum(line['kind'] == 'fill' for line in lines)} fills"


print(f"\n{sum(ROWS)} of {len(ROWS)} hold", flush=True)
sys.exit(0 if all(ROWS) else 1)
