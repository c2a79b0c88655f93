//! Traded currencies that help to split an id that can be split in several ways: see
//! [`symbols`](super::symbols). If a currency is missing here, no symbol becomes wrong; its id is named
//! and not served.

/// Known base currencies, in order.
pub(super) const BASES: [&str; 390] = [
    "1000SATS", "1INCH", "AAVE", "ACA", "ACH", "ACM", "ADA", "ADX", "AERGO", "AEVO", "AGIX",
    "AGLD", "AI", "AKRO", "ALCX", "ALGO", "ALICE", "ALPACA", "ALPHA", "ALPINE", "ALT", "AMB",
    "AMP", "ANC", "ANKR", "ANT", "APE", "API3", "APT", "AR", "ARB", "ARDR", "ARK", "ARKM", "ARPA",
    "ASR", "AST", "ASTR", "ATA", "ATM", "ATOM", "AUCTION", "AUDIO", "AVA", "AVAX", "AXL", "AXS",
    "BADGER", "BAKE", "BAL", "BAND", "BAR", "BAT", "BCH", "BEAM", "BEL", "BETA", "BICO", "BIFI",
    "BLUR", "BLZ", "BNB", "BNT", "BNX", "BOME", "BOND", "BONK", "BSV", "BTC", "BTT", "BTTC",
    "BURGER", "C98", "CAKE", "CELO", "CELR", "CFX", "CHR", "CHZ", "CITY", "CKB", "CLV", "COMBO",
    "COMP", "COS", "COTI", "CRV", "CTK", "CTSI", "CTXC", "CVC", "CVP", "CVX", "CYBER", "DAR",
    "DASH", "DATA", "DCR", "DEGO", "DENT", "DEXE", "DGB", "DIA", "DOCK", "DODO", "DOGE", "DOT",
    "DUSK", "DYDX", "DYM", "EDU", "EGLD", "ELF", "ENA", "ENJ", "ENS", "EOS", "EPX", "ERN", "ETC",
    "ETH", "ETHFI", "FARM", "FET", "FIDA", "FIL", "FIO", "FIRO", "FIS", "FLM", "FLOKI", "FLOW",
    "FLUX", "FOR", "FORTH", "FRONT", "FTM", "FTT", "FUN", "FXS", "GAL", "GALA", "GAS", "GFT",
    "GHST", "GLM", "GLMR", "GMT", "GMX", "GNO", "GNS", "GRT", "GTC", "GTO", "GVX", "HARD", "HBAR",
    "HFT", "HIFI", "HIGH", "HIVE", "HNT", "HOOK", "HOT", "ICP", "ICX", "ID", "IDEX", "ILV", "IMX",
    "INJ", "IOST", "IOTA", "IOTX", "IQ", "IRIS", "JASMY", "JOE", "JST", "JTO", "JUP", "JUV",
    "KAVA", "KDA", "KEY", "KLAY", "KMD", "KNC", "KP3R", "KSM", "LAZIO", "LDO", "LEVER", "LINA",
    "LINK", "LIT", "LOKA", "LOOM", "LPT", "LQTY", "LRC", "LSK", "LTC", "LTO", "LUNA", "LUNC",
    "MAGIC", "MANA", "MANTA", "MASK", "MATIC", "MAV", "MBL", "MBOX", "MC", "MDT", "MDX", "MEME",
    "MINA", "MKR", "MLN", "MNT", "MOB", "MOVR", "MTL", "MULTI", "NEAR", "NEO", "NEXO", "NFP",
    "NKN", "NMR", "NTRN", "NULS", "OAX", "OCEAN", "OG", "OGN", "OM", "OMG", "ONDO", "ONE", "ONG",
    "ONT", "OOKI", "OP", "ORDI", "ORN", "OSMO", "OXT", "PAXG", "PENDLE", "PEOPLE", "PEPE", "PERL",
    "PERP", "PHA", "PHB", "PIXEL", "PLA", "PNT", "POL", "POLS", "POLYX", "POND", "PORTAL", "PORTO",
    "POWR", "PROM", "PROS", "PSG", "PUNDIX", "PYR", "PYTH", "QI", "QKC", "QNT", "QTUM", "QUICK",
    "RAD", "RARE", "RAY", "RDNT", "REEF", "REI", "REN", "REP", "REQ", "RIF", "RLC", "RNDR",
    "RONIN", "ROSE", "RPL", "RSR", "RUNE", "RVN", "SAND", "SANTOS", "SC", "SCRT", "SEI", "SFP",
    "SHIB", "SKL", "SLP", "SNM", "SNT", "SNX", "SOL", "SPELL", "SRM", "SSV", "STEEM", "STG",
    "STMX", "STORJ", "STPT", "STRAX", "STRK", "STX", "SUI", "SUN", "SUPER", "SUSD", "SUSHI",
    "SWRV", "SXP", "SYN", "SYS", "T", "TFUEL", "THETA", "TIA", "TKO", "TLM", "TOMO", "TRB", "TROY",
    "TRU", "TRX", "TUSD", "TVK", "TWT", "UFT", "UMA", "UNFI", "UNI", "USDC", "USDP", "USDT", "UST",
    "UTK", "VANRY", "VET", "VGX", "VIB", "VIDT", "VITE", "VOXEL", "VTHO", "WAN", "WAVES", "WAXP",
    "WBETH", "WBTC", "WIF", "WIN", "WING", "WLD", "WNXM", "WOO", "WRX", "WTC", "XAI", "XEC", "XEM",
    "XLM", "XMR", "XNO", "XRP", "XTZ", "XVG", "XVS", "YFI", "YGG", "ZEC", "ZEN", "ZIL", "ZRX",
];
