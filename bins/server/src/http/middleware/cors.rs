//! Cross-origin rules, applied only to requests with an `Origin` header, which browsers send.
//!
//! Other requests skip the layer. Responses carry `Cache-Control: no-store`, so they need no `Vary`.

use std::rc::Rc;

use actix_cors::{Cors, CorsMiddleware};
use actix_web::Error;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::header;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

/// Applies the rules to requests with an `Origin`.
pub struct WithOrigin(pub Cors);

/// See [`WithOrigin`].
pub struct WithOriginService<S> {
    cors: CorsMiddleware<Rc<S>>,
    service: Rc<S>,
}

impl<S, B> Transform<S, ServiceRequest> for WithOrigin
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type InitError = ();
    type Transform = WithOriginService<S>;
    type Future = LocalBoxFuture<'static, Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let service = Rc::new(service);
        let cors = self.0.new_transform(Rc::clone(&service));
        async move { Ok(WithOriginService { cors: cors.await?, service }) }.boxed_local()
    }
}

impl<S, B> Service<ServiceRequest> for WithOriginService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        if request.headers().contains_key(header::ORIGIN) {
            return self.cors.call(request);
        }
        let response = self.service.call(request);
        response.map(|response| response.map(ServiceResponse::map_into_left_body)).boxed_local()
    }
}
