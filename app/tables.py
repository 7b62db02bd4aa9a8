"""Every table, imported in one place: what migrations compare themselves with."""

from app.auth import models as auth
from app.cases import models as cases
from app.db import Base
from app.journal import models as journal
from app.orders import models as orders
from app.orders import rank_models as ranks
from app.orders import review_models as reviews
from app.publication import models as publication
from app.subscribers import models as subscribers

ROOMS = (auth, cases, journal, orders, ranks, reviews, publication, subscribers)
metadata = Base.metadata
