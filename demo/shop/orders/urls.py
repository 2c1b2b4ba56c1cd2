"""Addresses of the orders application."""

from django.urls import path

from orders import api, views

urlpatterns = [
    path("", views.home, name="home"),
    path("orders/", views.OrderListView.as_view(), name="orders"),
    path("orders/new/", views.OrderCreateView.as_view(), name="new-order"),
    path("orders/<slug:reference>/", views.OrderDetailView.as_view(), name="order"),
    path("api/orders/", api.order_list, name="api-orders"),
    path("api/orders/<slug:reference>/", api.order_detail, name="api-order"),
    path("api/summary/", api.summary, name="api-summary"),
    path("api/health/", api.health, name="api-health"),
]
